#include "isolation/network/route_socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace bulkhead::isolation {

void RouteMessage::append(const void* data, std::size_t size) {
  const char* const begin = static_cast<const char*>(data);
  bytes_.insert(bytes_.end(), begin, begin + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void RouteMessage::add(std::uint16_t type, std::string_view payload) {
  struct rtattr head{};
  head.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(payload.size()));
  head.rta_type = type;
  append(&head, sizeof head);
  append(payload.data(), payload.size());
}

void RouteMessage::add_text(std::uint16_t type, std::string_view text) {
  add(type, std::string(text).append(1, '\0'));
}

void RouteMessage::add_number(std::uint16_t type, std::uint32_t number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  add(type, std::string_view(bytes, sizeof bytes));
}

std::string_view RouteMessage::finish() {
  const auto size = static_cast<std::uint32_t>(bytes_.size());
  std::memcpy(bytes_.data() + offsetof(struct nlmsghdr, nlmsg_len), &size, sizeof size);
  return {bytes_.data(), bytes_.size()};
}

std::vector<RouteAttribute> attributes_of(const struct nlmsghdr& message, std::size_t fixed_size) {
  std::vector<RouteAttribute> found;
  std::string_view rest(reinterpret_cast<const char*>(&message), message.nlmsg_len);
  rest.remove_prefix(std::min(rest.size(), NLMSG_LENGTH(NLMSG_ALIGN(fixed_size))));
  while (rest.size() >= sizeof(struct rtattr)) {
    struct rtattr head{};
    std::memcpy(&head, rest.data(), sizeof head);
    if (head.rta_len < sizeof head || head.rta_len > rest.size()) break;
    found.push_back({static_cast<std::uint16_t>(head.rta_type & NLA_TYPE_MASK),
                     rest.substr(sizeof head, head.rta_len - sizeof head)});
    rest.remove_prefix(std::min<std::size_t>(rest.size(), RTA_ALIGN(head.rta_len)));
  }
  return found;
}

SysResult<RouteSocket> RouteSocket::open() noexcept {
  RouteSocket socket;
  socket.fd_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.fd_) return sys_fail("socket(NETLINK_ROUTE)");
  return socket;
}

SysResult<void> RouteSocket::request(RouteMessage& message, const char* what) const {
  return ask(message, what, [](const struct nlmsghdr&) {});
}

SysResult<void> RouteSocket::ask(RouteMessage& message, const char* what,
                                 const std::function<void(const struct nlmsghdr&)>& take) const {
  const std::string_view bytes = message.finish();
  if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) return sys_fail("send(NETLINK_ROUTE)");
  std::vector<char> buffer(1 << 16);
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return sys_fail("recv(NETLINK_ROUTE)");
    auto left = static_cast<std::size_t>(size);
    const char* at = buffer.data();
    while (left >= sizeof(struct nlmsghdr)) {
      const auto& header = *reinterpret_cast<const struct nlmsghdr*>(at);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) break;
      if (header.nlmsg_type == NLMSG_DONE) return {};
      if (header.nlmsg_type == NLMSG_ERROR) {
        int error = 0;
        std::memcpy(&error, at + NLMSG_HDRLEN, sizeof error);
        if (error == 0) return {};
        return sys_fail_with(-error, what);
      }
      take(header);
      const std::size_t step = std::min<std::size_t>(left, NLMSG_ALIGN(header.nlmsg_len));
      at += step;
      left -= step;
    }
  }
}

}  // namespace bulkhead::isolation
