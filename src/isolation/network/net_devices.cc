#include "isolation/network/net_devices.h"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

std::string place_of(std::string_view name) { return "/linux/netDevices/" + std::string(name); }

struct Link {
  std::uint32_t index = 0;
  unsigned flags = 0;
};

template <class Body>
Body body_of(const struct nlmsghdr& message) {
  Body body{};
  if (message.nlmsg_len >= NLMSG_LENGTH(sizeof body))
    std::memcpy(&body, reinterpret_cast<const char*>(&message) + NLMSG_HDRLEN, sizeof body);
  return body;
}

// Nothing when there is no link of that name.
Result<std::optional<Link>> find_link(const RouteSocket& socket, std::string_view name) {
  RouteMessage message(RTM_GETLINK, NLM_F_ACK, ifinfomsg{});
  message.add_text(IFLA_IFNAME, name);
  std::optional<Link> found;
  const auto asked = socket.ask(message, "RTM_GETLINK", [&](const struct nlmsghdr& answer) {
    const auto info = body_of<ifinfomsg>(answer);
    found = Link{static_cast<std::uint32_t>(info.ifi_index), info.ifi_flags};
  });
  if (!asked && asked.error().error != ENODEV) return std::unexpected(asked.error());
  return found;
}

Result<std::set<std::uint32_t>> all_links(const RouteSocket& socket) {
  RouteMessage message(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  std::set<std::uint32_t> found;
  TRY(socket.ask(message, "RTM_GETLINK", [&](const struct nlmsghdr& answer) {
    found.insert(static_cast<std::uint32_t>(body_of<ifinfomsg>(answer).ifi_index));
  }));
  return found;
}

// Those that the specification wants kept: permanent ones of global scope.
Result<std::vector<std::vector<char>>> addresses_of(const RouteSocket& socket,
                                                    std::uint32_t index) {
  RouteMessage message(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  std::vector<std::vector<char>> found;
  TRY(socket.ask(message, "RTM_GETADDR", [&](const struct nlmsghdr& answer) {
    const auto address = body_of<ifaddrmsg>(answer);
    std::uint32_t flags = address.ifa_flags;
    for (const RouteAttribute& attribute : attributes_of(answer, sizeof address))
      if (attribute.type == IFA_FLAGS && attribute.payload.size() == sizeof flags)
        std::memcpy(&flags, attribute.payload.data(), sizeof flags);
    if (address.ifa_index != index || (flags & IFA_F_PERMANENT) == 0 ||
        address.ifa_scope != RT_SCOPE_UNIVERSE)
      return;
    const char* const begin = reinterpret_cast<const char*>(&answer);
    found.emplace_back(begin, begin + answer.nlmsg_len);
  }));
  return found;
}

SysResult<void> rename_or_move(const RouteSocket& socket, std::uint32_t index,
                               const std::string& name, int name_space, const char* what) {
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(index);
  RouteMessage message(RTM_NEWLINK, NLM_F_ACK, body);
  message.add_text(IFLA_IFNAME, name);
  if (name_space >= 0) message.add_number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(name_space));
  return socket.request(message, what);
}

// A socket in another network namespace. This process has one thread.
Result<RouteSocket> socket_in(const Fd& name_space, const Fd& own) {
  if (::setns(name_space.get(), CLONE_NEWNET) != 0)
    return std::unexpected(Error(SysError{"setns(CLONE_NEWNET)", errno}));
  auto socket = RouteSocket::open();
  if (::setns(own.get(), CLONE_NEWNET) != 0)
    return std::unexpected(Error(SysError{"setns(CLONE_NEWNET): coming back", errno}));
  if (!socket) return std::unexpected(Error(socket.error()));
  return std::move(*socket);
}

}  // namespace

Result<NetDevices::Device> NetDevices::look_up(const std::string& host_name,
                                               const std::string& wanted_name) const {
  Device device{.host_name = host_name, .wanted_name = wanted_name};
  TRY_ASSIGN(const std::optional<Link> link, find_link(*here_, host_name));
  if (!link)
    return fail(ErrorKind::kNotFound, place_of(host_name) + ": the host has no such network device",
                "`ip link` lists those that there are");
  if ((link->flags & IFF_LOOPBACK) != 0)
    return fail(ErrorKind::kInvalid, place_of(host_name) + ": a loopback device cannot be moved");
  device.index = link->index;
  device.up = (link->flags & IFF_UP) != 0;
  if (!wanted_name.ends_with("%d")) {
    TRY_ASSIGN(const std::optional<Link> taken, find_link(*there_, wanted_name));
    if (taken)
      return fail(ErrorKind::kExists,
                  place_of(host_name) + ": the container's network namespace has a device " +
                      quoted(wanted_name) + " already",
                  "choose another name, or one that ends in %d");
  }
  TRY_ASSIGN(device.addresses, addresses_of(*here_, device.index));
  return device;
}

// Addresses, which the kernel drops when a device moves, and the state.
Result<void> NetDevices::equip(const RouteSocket& socket, const Device& device, bool up) {
  for (const std::vector<char>& kept : device.addresses) {
    const auto& answer = *reinterpret_cast<const struct nlmsghdr*>(kept.data());
    auto address = body_of<ifaddrmsg>(answer);
    address.ifa_index = device.index;
    RouteMessage message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, address);
    for (const RouteAttribute& attribute : attributes_of(answer, sizeof address))
      if (attribute.type == IFA_ADDRESS || attribute.type == IFA_LOCAL ||
          attribute.type == IFA_BROADCAST || attribute.type == IFA_FLAGS ||
          attribute.type == IFA_RT_PRIORITY)
        message.add(attribute.type, attribute.payload);
    TRY(socket.request(message, "RTM_NEWADDR"));
  }
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(device.index);
  body.ifi_change = IFF_UP;
  body.ifi_flags = up ? unsigned{IFF_UP} : 0U;
  RouteMessage message(RTM_NEWLINK, NLM_F_ACK, body);
  return socket.request(message, "RTM_NEWLINK (up)");
}

Result<void> NetDevices::move_one(Device& device) {
  TRY_ASSIGN(const std::set<std::uint32_t> before, all_links(*there_));
  TRY(rename_or_move(*here_, device.index, device.wanted_name, container_namespace_.get(),
                     "RTM_NEWLINK (into the container)"));
  // It may have another number there, and another name: it is the one that was not there before.
  TRY_ASSIGN(const std::set<std::uint32_t> after, all_links(*there_));
  const auto added = std::find_if(after.begin(), after.end(),
                                  [&](std::uint32_t index) { return !before.contains(index); });
  if (added == after.end())
    return fail(ErrorKind::kSystem, "the device has not arrived in the container");
  device.index = *added;
  moved_.push_back(device);
  return equip(*there_, device, true);
}

Result<void> NetDevices::move(const std::map<std::string, oci::NetDevice>& wish,
                              const PidFd& child) {
  if (wish.empty()) return {};
  const std::string path = "/proc/" + std::to_string(child.pid().value()) + "/ns/net";
  TRY_ASSIGN(own_namespace_, open_at(AT_FDCWD, "/proc/self/ns/net", O_RDONLY));
  TRY_ASSIGN(container_namespace_, open_at(AT_FDCWD, path.c_str(), O_RDONLY));
  TRY_ASSIGN(here_, RouteSocket::open());
  TRY_ASSIGN(there_, socket_in(container_namespace_, own_namespace_));
  std::vector<Device> devices;
  for (const auto& [host_name, wanted] : wish) {
    TRY_ASSIGN(Device device, look_up(host_name, wanted.name.value_or(host_name)));
    devices.push_back(std::move(device));
  }
  for (Device& device : devices) TRY_WITHIN(place_of(device.host_name), move_one(device));
  return {};
}

void NetDevices::put_back() noexcept {
  for (auto device = moved_.rbegin(); device != moved_.rend(); ++device) {
    if (!rename_or_move(*there_, device->index, device->host_name, own_namespace_.get(),
                        "RTM_NEWLINK (back)"))
      continue;
    auto link = find_link(*here_, device->host_name);
    if (!link || !*link) continue;
    device->index = (*link)->index;
    (void)equip(*here_, *device, device->up);
  }
  moved_.clear();
}

}  // namespace bulkhead::isolation
