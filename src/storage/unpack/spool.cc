#include "storage/unpack/spool.h"

#include <vector>

#include "storage/unpack/decompress.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/worker.h"
#include "storage/unpack/worker_report.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kBlock = std::size_t{512} << 10;

}  // namespace

Result<std::string> spool(int input, int output, std::uint64_t limit) {
  std::vector<char> buffer(kBlock);
  Sha256 digest;
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t count = ::read(input, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"read", errno}));
    if (count == 0) return digest.hex();
    total += static_cast<std::uint64_t>(count);
    if (total > limit)
      return fail(ErrorKind::kInvalid,
                  "the input has more than " + std::to_string(limit) + " bytes, decompressed");
    digest.update(buffer.data(), static_cast<std::size_t>(count));
    TRY(write_all(output, buffer.data(), static_cast<std::size_t>(count)));
  }
}

Result<std::string> spool_decompressed(int input, int output, std::uint64_t limit,
                                       Confinement& confinement) {
  TRY_ASSIGN(Pipe plain, Pipe::make());
  TRY_ASSIGN(Pipe said, Pipe::make());
  TRY_ASSIGN(const Worker worker,
             start_worker("decompressor",
                          {.input = input, .output = plain.in.get(), .report = said.in.get()},
                          [&]() -> Result<std::string> {
                            TRY(confinement.enter(WorkerKind::kDecompressor));
                            TRY(decompress(kInput, kOutput));
                            return std::string();
                          }));
  plain.in.reset();
  said.in.reset();
  auto digest = spool(plain.out.get(), output, limit);
  // It may still be writing when we have had enough.
  plain.out.reset();
  const auto text = read_fd(said.out.get(), 1 << 20);
  const auto ended = finish(worker, digest && text ? Ending::kAwaited : Ending::kForced);
  if (!digest) return digest;
  if (!text) return std::unexpected(text.error());
  const auto report = decode_report(*text);
  if (!report) return std::unexpected(report.error());
  TRY(ended);
  return digest;
}

}  // namespace bulkhead::storage
