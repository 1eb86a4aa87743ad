#include "storage/unpack/unpack_layer.h"

#include <linux/openat2.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <functional>
#include <optional>
#include <thread>

#include "base/text.h"
#include "storage/unpack/decompress.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/entry_path.h"
#include "storage/unpack/worker_report.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
constexpr std::size_t kMostReport = std::size_t{64} << 20;

struct Pipe {
  Fd out;
  Fd in;
  static Result<Pipe> make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
    Pipe pipe{Fd(ends[0]), Fd(ends[1])};
    // Fewer turns between the processes; a smaller pipe is no less correct.
    (void)::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    return pipe;
  }
};

struct Worker {
  pid_t pid = -1;
  std::string_view name;
};

// Descriptors of a worker by number, once it has arranged them.
constexpr int kInput = 0;
constexpr int kOutput = 1;
constexpr int kReport = 2;
constexpr int kDirectory = 3;

// Leaves exactly the descriptors above open.
bool arrange_descriptors(int input, int output, int report, int directory) {
  // First out of the way of the numbers that they are to get.
  int sources[] = {input, output, report, directory};
  for (int& source : sources)
    if (source >= 0 && (source = ::fcntl(source, F_DUPFD_CLOEXEC, 16)) < 0) return false;
  for (int number = 0; number < 4; ++number)
    if (sources[number] >= 0 && ::dup2(sources[number], number) < 0) return false;
  const unsigned first_unused = directory >= 0 ? 4 : 3;
  return ::close_range(first_unused, ~0U, 0) == 0;
}

Result<Worker> start_worker(std::string_view name, int input, int output, int report, int directory,
                            const std::function<Result<std::string>()>& work) {
  const pid_t overseer = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (pid != 0) return Worker{pid, name};
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != overseer ||
      !arrange_descriptors(input, output < 0 ? report : output, report, directory))
    ::_exit(1);
  auto said = work();
  const std::string text = said ? *std::move(said) : encode_failure(said.error());
  const bool told = write_all(kReport, text.data(), text.size()).has_value();
  ::_exit(said && told ? 0 : 1);
}

Result<void> finish(const Worker& worker, bool kill) {
  if (kill) (void)::kill(worker.pid, SIGKILL);
  int status = 0;
  while (::waitpid(worker.pid, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFSIGNALED(status))
    return fail(ErrorKind::kInvalid,
                "the " + std::string(worker.name) + " was killed by signal " +
                    std::to_string(WTERMSIG(status)) +
                    (WTERMSIG(status) == SIGSYS ? ": it tried what it has no business with" : ""),
                "the layer is damaged or hostile, or memory is short");
  return fail(ErrorKind::kInvalid, "the " + std::string(worker.name) + " failed");
}

// The blob, hashed on its way to the decompressor. Goes on hashing when nobody reads any more: then
// the digest tells whether the blob is to blame.
Result<std::string> feed(const Extent& blob, Fd output) {
  std::vector<char> buffer(kBlock);
  Sha256 digest;
  bool read_by_somebody = true;
  for (std::uint64_t done = 0; done < blob.size;) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), blob.size - done);
    const ssize_t count =
        ::pread(blob.fd, buffer.data(), wanted, static_cast<off_t>(blob.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"pread", errno}));
    if (count == 0)
      return fail(ErrorKind::kInvalid, "the layer's blob was cut short while it was read");
    digest.update(buffer.data(), static_cast<std::size_t>(count));
    if (read_by_somebody)
      read_by_somebody =
          write_all(output.get(), buffer.data(), static_cast<std::size_t>(count)).has_value();
    done += static_cast<std::uint64_t>(count);
  }
  return digest.hex();
}

// The tar, hashed between the decompressor and the extractor.
Result<std::string> pass_on(Fd input, Fd output, std::uint64_t limit) {
  std::vector<char> buffer(kBlock);
  Sha256 digest;
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t count = ::read(input.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"read", errno}));
    if (count == 0) return digest.hex();
    total += static_cast<std::uint64_t>(count);
    if (total > limit)
      return fail(ErrorKind::kInvalid,
                  "the layer decompresses to more than " + std::to_string(limit) + " bytes");
    digest.update(buffer.data(), static_cast<std::size_t>(count));
    // The extractor says itself why it stopped reading.
    if (!write_all(output.get(), buffer.data(), static_cast<std::size_t>(count)))
      return std::string();
  }
}

Result<void> mark_opaque(int directory, const std::string& path) {
  TRY_ASSIGN(const EntryPath checked, parse_entry_path(path, 4095));
  const std::string whole = checked.whole();
  // Nobody writes to the tree any more; links in it lead nowhere but inside.
  const auto opaque = open_at2(directory, whole.empty() ? "." : whole.c_str(),
                               O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!opaque) {
    const int error = opaque.error().error;
    if (error == ENOENT || error == ENOTDIR) return {};  // replaced by a later entry of the layer
    return std::unexpected(Error(SysError{"openat2", error}).within(quoted(path)));
  }
  if (::fsetxattr(opaque->get(), "trusted.overlay.opaque", "y", 1, 0) != 0)
    return std::unexpected(
        Error(SysError{"setxattr(trusted.overlay.opaque)", errno}).within(quoted(path)));
  return {};
}

}  // namespace

Result<ExtractReport> unpack_layer(const LayerToUnpack& layer, Confinement& confinement,
                                   const ExtractLimits& limits) {
  Extent head_extent;
  head_extent.fd = layer.blob.fd;
  head_extent.offset = layer.blob.offset;
  head_extent.size = std::min<std::uint64_t>(layer.blob.size, 8);
  TRY_ASSIGN(const std::string head, read_extent(head_extent, 8));
  const Compression compression = sniff_compression(head);

  TRY_ASSIGN(Pipe compressed, Pipe::make());
  TRY_ASSIGN(Pipe plain, Pipe::make());
  TRY_ASSIGN(Pipe tar, Pipe::make());
  TRY_ASSIGN(Pipe decompressor_said, Pipe::make());
  TRY_ASSIGN(Pipe extractor_said, Pipe::make());

  TRY_ASSIGN(const Worker decompressor,
             start_worker("decompressor", compressed.out.get(), plain.in.get(),
                          decompressor_said.in.get(), -1, [&]() -> Result<std::string> {
                            TRY(confinement.enter(WorkerKind::kDecompressor));
                            TRY(decompress(compression, kInput, kOutput));
                            return std::string();
                          }));
  const auto extract = [&]() -> Result<std::string> {
    if (::fchdir(kDirectory) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
    TRY(confinement.enter(WorkerKind::kExtractor));
    TRY_ASSIGN(const ExtractReport report, extract_layer(kInput, kDirectory, limits));
    return encode_report(report);
  };
  const auto extractor = start_worker("extractor", tar.out.get(), -1, extractor_said.in.get(),
                                      layer.directory, extract);
  if (!extractor) {
    (void)finish(decompressor, true);
    return std::unexpected(extractor.error());
  }
  compressed.out.reset();
  plain.in.reset();
  tar.out.reset();
  decompressor_said.in.reset();
  extractor_said.in.reset();

  Result<std::string> blob_digest = std::string();
  Result<std::string> tar_digest = std::string();
  std::thread feeding([&] { blob_digest = feed(layer.blob, std::move(compressed.in)); });
  std::thread passing([&] {
    tar_digest =
        pass_on(std::move(plain.out), std::move(tar.in), limits.bytes + (limits.bytes >> 3));
  });
  auto extractor_text = read_fd(extractor_said.out.get(), kMostReport);
  auto decompressor_text = read_fd(decompressor_said.out.get(), 1 << 20);
  const bool kill = !extractor_text || !decompressor_text;
  const auto decompressor_end = finish(decompressor, kill);
  const auto extractor_end = finish(*extractor, kill);
  feeding.join();
  passing.join();

  // The blob first: when it is damaged, everything else is only a consequence.
  if (!blob_digest) return std::unexpected(blob_digest.error());
  if (*blob_digest != layer.digest)
    return fail(ErrorKind::kInvalid, "the layer " + layer.digest + " does not have that digest",
                "the image is damaged or was tampered with: fetch it again");
  if (!tar_digest) return std::unexpected(tar_digest.error());
  if (!extractor_text) return std::unexpected(extractor_text.error());
  if (!decompressor_text) return std::unexpected(decompressor_text.error());
  const auto decompressed = decode_report(*decompressor_text);
  const auto extracted = decode_report(*extractor_text);
  if (!extractor_end && !extracted) return std::unexpected(extracted.error());
  if (!decompressor_end && !decompressed) return std::unexpected(decompressed.error());
  TRY(decompressor_end);
  TRY(extractor_end);
  if (!extracted) return std::unexpected(extracted.error());
  if (*tar_digest != layer.diff_id)
    return fail(ErrorKind::kInvalid,
                "the layer " + layer.digest + " unpacks to something else than the image says",
                "the image is damaged or was tampered with: fetch it again");
  for (const std::string& path : extracted->opaque_directories)
    TRY(mark_opaque(layer.directory, path));
  return *extracted;
}

}  // namespace bulkhead::storage
