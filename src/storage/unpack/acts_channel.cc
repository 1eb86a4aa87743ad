// The two ends of the channel of layer_acts.h. Messages are of one fixed form, with a path behind it.
#include <cstring>
#include <type_traits>
#include <vector>

#include "base/text.h"
#include "storage/unpack/layer_acts.h"
#include "sys/error.h"

#include <unistd.h>

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostPath = 4095;

enum class Wish : std::uint32_t { kOpaque = 1, kCharacterDevice = 2, kBlockDevice = 3 };
enum class Answer : std::uint32_t { kDone = 1, kLeftOut = 2, kFailed = 3 };

struct Request {
  Wish wish{};
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
};
static_assert(std::is_trivially_copyable_v<Request>);

std::unexpected<Error> meaningless() {
  return fail(ErrorKind::kInvalid, "an unpacking process asked for something that has no meaning",
              "the layer is damaged or hostile");
}

ssize_t read_message(int socket, void* buffer, std::size_t room) {
  for (;;) {
    const ssize_t size = ::read(socket, buffer, room);
    if (size >= 0 || errno != EINTR) return size;
  }
}

ssize_t write_message(int socket, const void* message, std::size_t size) {
  for (;;) {
    const ssize_t written = ::write(socket, message, size);
    if (written >= 0 || errno != EINTR) return written;
  }
}

Result<Act> ask(int socket, const Request& request, const std::string& path) {
  if (path.size() > kMostPath) return meaningless();
  std::string message(sizeof request, '\0');
  std::memcpy(message.data(), &request, sizeof request);
  message += path;
  if (write_message(socket, message.data(), message.size()) != static_cast<ssize_t>(message.size()))
    return std::unexpected(Error(SysError{"write", errno}));
  Answer answer{};
  if (read_message(socket, &answer, sizeof answer) == static_cast<ssize_t>(sizeof answer)) {
    if (answer == Answer::kDone) return Act::kDone;
    if (answer == Answer::kLeftOut) return Act::kLeftOut;
  }
  // The other end knows the reason, and tells it.
  return fail(ErrorKind::kInvalid, "it was refused");
}

Result<Act> carry_out(const Request& request, const std::string& path, LayerActs& acts) {
  switch (request.wish) {
    case Wish::kOpaque: {
      TRY(acts.mark_opaque(path));
      return Act::kDone;
    }
    case Wish::kCharacterDevice:
    case Wish::kBlockDevice: {
      DeviceNode node;
      node.is_block = request.wish == Wish::kBlockDevice;
      node.major = request.major;
      node.minor = request.minor;
      node.mode = request.mode;
      node.uid = request.uid;
      node.gid = request.gid;
      node.modified.tv_sec = request.seconds;
      node.modified.tv_nsec = request.nanoseconds;
      // 2^32-1 is "no change" to chown(2).
      if (request.nanoseconds < 0 || request.nanoseconds >= 1'000'000'000 ||
          request.uid == ~std::uint32_t{0} || request.gid == ~std::uint32_t{0})
        return meaningless();
      return acts.make_device(path, node);
    }
  }
  return meaningless();
}

}  // namespace

Result<void> RemoteActs::mark_opaque(const std::string& directory) {
  Request request;
  request.wish = Wish::kOpaque;
  TRY(ask(socket_, request, directory));
  return {};
}

Result<Act> RemoteActs::make_device(const std::string& path, const DeviceNode& node) {
  return ask(socket_,
             {.wish = node.is_block ? Wish::kBlockDevice : Wish::kCharacterDevice,
              .mode = node.mode,
              .uid = node.uid,
              .gid = node.gid,
              .major = node.major,
              .minor = node.minor,
              .seconds = node.modified.tv_sec,
              .nanoseconds = node.modified.tv_nsec},
             path);
}

Result<void> serve_acts(int socket, LayerActs& acts, std::uint64_t most) {
  // One byte more than the longest message, so that a longer one is noticed.
  std::vector<char> message(sizeof(Request) + kMostPath + 1);
  for (std::uint64_t count = 0;; ++count) {
    const ssize_t size = read_message(socket, message.data(), message.size());
    if (size == 0 || (size < 0 && errno == ECONNRESET)) return {};
    if (size < 0) return std::unexpected(Error(SysError{"read", errno}));
    const auto length = static_cast<std::size_t>(size);
    if (count == most)
      return fail(ErrorKind::kInvalid, "the layer has more than " + std::to_string(most) +
                                           " opaque directories and device nodes");
    if (length < sizeof(Request) || length == message.size()) return meaningless();
    Request request;
    std::memcpy(&request, message.data(), sizeof request);
    const std::string path(message.data() + sizeof request, length - sizeof request);
    if (path.find('\0') != std::string::npos) return meaningless();
    const auto done = carry_out(request, path, acts);
    const Answer answer = !done                 ? Answer::kFailed
                          : *done == Act::kDone ? Answer::kDone
                                                : Answer::kLeftOut;
    (void)write_message(socket, &answer, sizeof answer);
    if (!done) return std::unexpected(done.error());
  }
}

}  // namespace bulkhead::storage
