#include "runtime/activation.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

constexpr std::uint32_t kFirstDescriptor = 3;
constexpr std::uint32_t kMostDescriptors = 4096;
constexpr const char* kNotifyDirectory = "notify";
constexpr const char* kNotifySocket = "notify.sock";

std::optional<std::string_view> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

void set_variable(std::vector<std::string>& env, std::string_view name, std::string_view value) {
  const std::string prefix = std::string(name) + "=";
  std::erase_if(env, [&](const std::string& entry) { return entry.starts_with(prefix); });
  env.push_back(prefix + std::string(value));
}

// The sockets that a service manager passed to us, and not to a process before us.
Result<std::uint32_t> activated_descriptors() {
  const auto count = environment("LISTEN_FDS");
  if (!count) return 0U;
  if (const auto pid = environment("LISTEN_PID"))
    if (parse_number<std::int32_t>(*pid) != ::getpid()) return 0U;
  const auto number = parse_number<std::uint32_t>(*count);
  if (!number || *number > kMostDescriptors)
    return fail(ErrorKind::kInvalid, "LISTEN_FDS=" + quoted(*count) +
                                         " in the environment is not a number of descriptors");
  return *number;
}

// "@name" and "/path" as systemd writes them.
Result<std::pair<sockaddr_un, socklen_t>> notify_address(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((!path.starts_with('/') && !path.starts_with('@')) || path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::kInvalid,
                "NOTIFY_SOCKET=" + quoted(path) + " in the environment is not a socket's address");
  std::memcpy(address.sun_path, path.data(), path.size());
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  if (path.starts_with('@'))
    address.sun_path[0] = '\0';
  else
    ++size;
  return std::pair(address, size);
}

Result<void> tell_host(std::string_view host, std::string_view text) {
  TRY_ASSIGN(const auto address, notify_address(host));
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(Error(SysError{"socket", errno}));
  if (::sendto(socket.get(), text.data(), text.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address.first), address.second) < 0)
    return std::unexpected(Error(SysError{"sendto", errno, "NOTIFY_SOCKET"}));
  return {};
}

}  // namespace

Result<std::uint32_t> pass_descriptors(oci::Process& process, std::uint32_t preserve_fds) {
  TRY_ASSIGN(const std::uint32_t activated, activated_descriptors());
  if (preserve_fds > kMostDescriptors)
    return fail(ErrorKind::kInvalid,
                "--preserve-fds: at most " + std::to_string(kMostDescriptors) + " descriptors");
  const std::uint32_t count = activated + preserve_fds;
  for (std::uint32_t i = 0; i < count; ++i) {
    const int fd = static_cast<int>(kFirstDescriptor + i);
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0)
      return fail(ErrorKind::kInvalid, (i < activated ? "LISTEN_FDS" : "--preserve-fds") +
                                           (": descriptor " + std::to_string(fd)) + " is not open");
    if ((flags & FD_CLOEXEC) != 0 && ::fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) != 0)
      return std::unexpected(Error(SysError{"fcntl(F_SETFD)", errno}));
  }
  if (activated > 0) {
    set_variable(process.env, "LISTEN_FDS", std::to_string(activated));
    set_variable(process.env, "LISTEN_PID", "1");
    if (const auto names = environment("LISTEN_FDNAMES"))
      set_variable(process.env, "LISTEN_FDNAMES", *names);
  }
  return count;
}

Result<bool> offer_notify_socket(oci::Spec& spec, const ContainerDirectory& directory) {
  const auto host = environment("NOTIFY_SOCKET");
  if (!host) return false;
  TRY(notify_address(*host));
  if (::mkdirat(directory.get(), kNotifyDirectory, 0755) != 0 && errno != EEXIST)
    return std::unexpected(
        Error(SysError{"mkdir", errno, kNotifyDirectory}).within(directory.path()));
  oci::Mount mount;
  mount.destination = "/run/notify";
  mount.type = "bind";
  mount.source = directory.path() + "/" + kNotifyDirectory;
  mount.options = {"bind", "ro", "nosuid", "noexec", "nodev"};
  spec.mounts.push_back(std::move(mount));
  if (spec.process)
    set_variable(spec.process->env, "NOTIFY_SOCKET", std::string("/run/notify/") + kNotifySocket);
  return true;
}

Result<NotifyRelay> NotifyRelay::listen(const ContainerDirectory& directory) {
  NotifyRelay relay;
  const auto host = environment("NOTIFY_SOCKET");
  if (!host) return relay;
  auto place = open_at(directory.get(), kNotifyDirectory, O_PATH | O_DIRECTORY);
  if (!place && place.error().error == ENOENT) return relay;
  if (!place) return std::unexpected(Error(place.error()));
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return std::unexpected(Error(SysError{"socket", errno}));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(place->get()) + "/" + kNotifySocket;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  (void)::unlinkat(place->get(), kNotifySocket, 0);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected(Error(SysError{"bind", errno, kNotifySocket}));
  // Whatever user the container's process is, it may write to it.
  if (::fchmodat(place->get(), kNotifySocket, 0777, 0) != 0)
    return std::unexpected(Error(SysError{"chmod", errno, kNotifySocket}));
  relay.socket_ = std::move(socket);
  relay.host_ = *host;
  return relay;
}

Result<bool> NotifyRelay::serve(const PidFd& init) const {
  std::array<char, 4096> datagram;
  const ssize_t size = ::recv(socket_.get(), datagram.data(), datagram.size(), 0);
  if (size <= 0) return false;
  const std::string_view text(datagram.data(), static_cast<std::size_t>(size));
  for (const std::string_view line : split(text, '\n')) {
    if (line != "READY=1") continue;
    TRY(tell_host(host_, "MAINPID=" + std::to_string(init.pid().value()) + "\nREADY=1"));
    return true;
  }
  return false;
}

Result<void> NotifyRelay::wait_until_ready(const PidFd& init) const {
  for (;;) {
    std::array<struct pollfd, 2> items{{{socket_.get(), POLLIN, 0}, {init.get(), POLLIN, 0}}};
    if (::poll(items.data(), items.size(), -1) < 0 && errno != EINTR)
      return std::unexpected(Error(SysError{"poll", errno}));
    TRY_ASSIGN(const bool ready, serve(init));
    if (ready || items[1].revents != 0) return {};
  }
}

}  // namespace bulkhead::runtime
