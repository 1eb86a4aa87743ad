#include "engine/copy_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <vector>

#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
constexpr int kGlance = 200;  // milliseconds between two looks at the counter

struct Magic {
  std::string_view bytes;
  const char* name;
  const char* program;
};
using namespace std::literals;
constexpr Magic kCompressed[] = {{"\x1f\x8b"sv, "gzip", "gunzip"},
                                 {"BZh"sv, "bzip2", "bunzip2"},
                                 {"\xfd\x37zXZ\0"sv, "xz", "unxz"},
                                 {"\x28\xb5\x2f\xfd"sv, "zstd", "unzstd"}};

Result<std::uint64_t> pump_some(int from, int to, const CopyProgress& progress, bool archive) {
  std::vector<char> buffer(kBlock);
  std::uint64_t total = 0;
  for (;;) {
    ssize_t size = ::read(from, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(Error(SysError{"read", errno}));
    if (size == 0) return total;
    if (archive && total == 0) {
      const std::string_view start(buffer.data(), static_cast<std::size_t>(size));
      for (const Magic& magic : kCompressed)
        if (start.starts_with(magic.bytes))
          return fail(ErrorKind::kUnsupported,
                      std::string("the archive is compressed by ") + magic.name,
                      std::string("decompress it on the way: ") + magic.program +
                          " < ARCHIVE | bulkhead cp - CONTAINER:PATH");
    }
    TRY(write_all(to, buffer.data(), static_cast<std::size_t>(size)));
    total += static_cast<std::uint64_t>(size);
    if (progress) progress(total);
  }
}

}  // namespace

Result<DataPipe> DataPipe::make() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  DataPipe pipe{Fd(ends[0]), Fd(ends[1])};
  // Fewer turns between the processes; a smaller pipe is no less correct.
  (void)::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  return pipe;
}

Result<std::uint64_t> pump(int from, int to, const CopyProgress& progress) {
  return pump_some(from, to, progress, false);
}

Result<std::uint64_t> pump_archive(int from, int to, const CopyProgress& progress) {
  return pump_some(from, to, progress, true);
}

Result<void> wait_for_answer(int socket, const std::atomic<std::uint64_t>& counter,
                             const CopyProgress& progress) {
  for (;;) {
    struct pollfd item{socket, POLLIN, 0};
    const int ready = ::poll(&item, 1, progress ? kGlance : -1);
    if (ready < 0 && errno != EINTR) return std::unexpected(Error(SysError{"poll", errno}));
    if (ready > 0) return {};
    if (progress) progress(counter.load(std::memory_order_relaxed));
  }
}

}  // namespace bulkhead::engine
