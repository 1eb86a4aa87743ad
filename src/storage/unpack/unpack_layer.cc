#include "storage/unpack/unpack_layer.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <thread>

#include "base/text.h"
#include "storage/unpack/decompress.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/layer_acts.h"
#include "storage/unpack/limits_file.h"
#include "storage/unpack/worker.h"
#include "storage/unpack/worker_report.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;

// The blob, hashed on its way to the decompressor. Goes on hashing when nobody reads any more: then
// the digest tells whether the blob is to blame.
Result<std::string> feed(const LayerToUnpack& layer, int stop, Fd output,
                         std::atomic<std::uint64_t>& fed) {
  std::vector<char> buffer(kBlock);
  Sha256 digest;
  LayerReader reader(layer.source, stop);
  bool read_by_somebody = true;
  for (;;) {
    TRY_ASSIGN(const std::size_t count, reader.read(buffer.data(), buffer.size()));
    if (count == 0) return digest.hex();
    fed.fetch_add(count, std::memory_order_relaxed);
    if (layer.progress != nullptr) layer.progress->fetch_add(count, std::memory_order_relaxed);
    digest.update(buffer.data(), count);
    if (read_by_somebody)
      read_by_somebody = write_all(output.get(), buffer.data(), count).has_value();
  }
}

// The tar, hashed between the decompressor and the extractor. `fed`: the bytes of the blob so far.
Result<std::string> pass_on(Fd input, Fd output, const std::atomic<std::uint64_t>& fed,
                            const ExtractLimits& limits) {
  // What is not content of files, headers above all, comes on top.
  const std::uint64_t limit = limits.bytes + (limits.bytes >> 3);
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
                  "the layer decompresses to more than " + std::to_string(limit) + " bytes",
                  "if it is to be that large, raise `bytes` in " + std::string(kLimitsFile));
    if (total > limits.ratio_from && total / limits.ratio > fed.load(std::memory_order_relaxed))
      return fail(
          ErrorKind::kInvalid,
          "the layer decompresses to more than " + std::to_string(limits.ratio) + " times its size",
          "it looks like a decompression bomb");
    digest.update(buffer.data(), static_cast<std::size_t>(count));
    // The extractor says itself why it stopped reading.
    if (!write_all(output.get(), buffer.data(), static_cast<std::size_t>(count)))
      return std::string();
  }
}

// What the workers and the hashing of one layer came to.
struct Outcome {
  Result<std::string> blob_digest = std::string();
  Result<std::string> tar_digest = std::string();
  Result<ExtractReport> decompressed = ExtractReport{};
  Result<ExtractReport> extracted = ExtractReport{};
  Result<void> decompressor_end;
  Result<void> extractor_end;
  Result<void> acts;
};

Result<ExtractReport> heard(const Result<std::string>& text) {
  if (!text) return std::unexpected(text.error());
  return decode_report(*text);
}

Result<Outcome> run(const LayerToUnpack& layer, Confinement& confinement,
                    const ExtractLimits& limits) {
  TRY_ASSIGN(Pipe compressed, Pipe::make());
  TRY_ASSIGN(Pipe plain, Pipe::make());
  TRY_ASSIGN(Pipe tar, Pipe::make());
  TRY_ASSIGN(Pipe decompressor_said, Pipe::make());
  TRY_ASSIGN(Pipe extractor_said, Pipe::make());
  int channel[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  const Fd acts_done_here(channel[0]);
  Fd acts_asked_for(channel[1]);
  const Fd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return std::unexpected(Error(SysError{"eventfd", errno}));

  const auto inflate = [&]() -> Result<std::string> {
    TRY(confinement.enter(WorkerKind::kDecompressor));
    TRY(decompress(kInput, kOutput));
    return std::string();
  };
  const auto extract = [&]() -> Result<std::string> {
    if (::fchdir(kDirectory) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
    TRY(confinement.enter(WorkerKind::kExtractor));
    // The working directory from now on is one that is mounted without devices, if it is confined.
    TRY_ASSIGN(const Fd directory, open_at(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY));
    (void)::close(kDirectory);
    RemoteActs acts(kActs);
    TRY_ASSIGN(const ExtractReport report, extract_layer(kInput, directory.get(), acts, limits));
    return encode_report(report);
  };
  TRY_ASSIGN(const Worker decompressor, start_worker("decompressor",
                                                     {.input = compressed.out.get(),
                                                      .output = plain.in.get(),
                                                      .report = decompressor_said.in.get()},
                                                     inflate));
  const auto extractor = start_worker("extractor",
                                      {.input = tar.out.get(),
                                       .report = extractor_said.in.get(),
                                       .directory = layer.directory,
                                       .acts = acts_asked_for.get()},
                                      extract);
  if (!extractor) {
    [[maybe_unused]] const auto ended = finish(decompressor, Ending::kForced);
    return std::unexpected(extractor.error());
  }
  compressed.out.reset();
  plain.in.reset();
  tar.out.reset();
  decompressor_said.in.reset();
  extractor_said.in.reset();
  acts_asked_for.reset();

  Outcome outcome;
  std::atomic<std::uint64_t> fed = 0;
  std::thread feeding(
      [&] { outcome.blob_digest = feed(layer, stop.get(), std::move(compressed.in), fed); });
  std::thread passing(
      [&] { outcome.tar_digest = pass_on(std::move(plain.out), std::move(tar.in), fed, limits); });
  std::thread serving([&] {
    DirectActs acts(layer.directory);
    outcome.acts = serve_acts(acts_done_here.get(), acts, limits.acts);
    // Whoever waits for an answer that does not come any more would wait forever.
    (void)::shutdown(acts_done_here.get(), SHUT_RDWR);
  });
  const auto extractor_text = read_fd(extractor_said.out.get(), kMostReport);
  outcome.extracted = heard(extractor_text);
  // A full disk is no fault of the blob's: what is still to come of it need not be waited for.
  if (!outcome.extracted && outcome.extracted.error().kind() != ErrorKind::kInvalid)
    (void)::eventfd_write(stop.get(), 1);
  const auto decompressor_text = read_fd(decompressor_said.out.get(), 1 << 20);
  outcome.decompressed = heard(decompressor_text);
  const Ending ending = extractor_text && decompressor_text ? Ending::kAwaited : Ending::kForced;
  outcome.decompressor_end = finish(decompressor, ending);
  outcome.extractor_end = finish(*extractor, ending);
  feeding.join();
  passing.join();
  serving.join();
  return outcome;
}

// The first cause of all that went wrong.
Result<void> judge(const LayerToUnpack& layer, const Outcome& outcome) {
  const auto is_consequence = [](const Error& error) {
    return error.kind() == ErrorKind::kState || error.kind() == ErrorKind::kInvalid;
  };
  if (!outcome.extracted && !is_consequence(outcome.extracted.error()))
    return std::unexpected(outcome.extracted.error());
  // The blob first: when it is damaged, everything else is only a consequence.
  if (!outcome.blob_digest) return std::unexpected(outcome.blob_digest.error());
  if (!layer.digest.empty() && *outcome.blob_digest != layer.digest)
    return fail(ErrorKind::kInvalid, "the layer " + layer.digest + " does not have that digest",
                "the image is damaged or was tampered with: fetch it again");
  if (!outcome.tar_digest) return std::unexpected(outcome.tar_digest.error());
  if (!outcome.acts) return std::unexpected(outcome.acts.error());
  // When the extractor stops, the decompressor has nobody to write to; that is no kInvalid.
  if (!outcome.decompressed && outcome.decompressed.error().kind() == ErrorKind::kInvalid)
    return std::unexpected(outcome.decompressed.error());
  if (!outcome.extractor_end && !outcome.extracted)
    return std::unexpected(outcome.extracted.error());
  if (!outcome.decompressor_end && !outcome.decompressed)
    return std::unexpected(outcome.decompressed.error());
  TRY(outcome.decompressor_end);
  TRY(outcome.extractor_end);
  if (!outcome.decompressed) return std::unexpected(outcome.decompressed.error());
  if (!outcome.extracted) return std::unexpected(outcome.extracted.error());
  if (!layer.diff_id.empty() && *outcome.tar_digest != layer.diff_id)
    return fail(ErrorKind::kInvalid,
                "the layer " + layer.digest + " unpacks to something else than the image says",
                "the image is damaged or was tampered with: fetch it again");
  return {};
}

}  // namespace

Result<ExtractReport> unpack_layer(const LayerToUnpack& layer, Confinement& confinement,
                                   const ExtractLimits& limits) {
  if (layer.source.kept > layer.source.size)
    return fail(ErrorKind::kInvalid, "more has been kept of the layer than its " +
                                         std::to_string(layer.source.size) + " bytes");
  // An ACL that the store's own directory hands on would end up in every file.
  for (const char* name : {"system.posix_acl_default", "system.posix_acl_access"})
    if (::fremovexattr(layer.directory, name) != 0 && errno != ENODATA && errno != EOPNOTSUPP)
      return std::unexpected(Error(SysError{"removexattr", errno, name}));
  // Device nodes are made with the mode that they are to have.
  const mode_t mask = ::umask(0);
  auto outcome = run(layer, confinement, limits);
  (void)::umask(mask);
  if (!outcome) return std::unexpected(outcome.error());
  TRY(judge(layer, *outcome));
  outcome->extracted->digest = *std::move(outcome->blob_digest);
  outcome->extracted->diff_id = *std::move(outcome->tar_digest);
  return *std::move(outcome->extracted);
}

}  // namespace bulkhead::storage
