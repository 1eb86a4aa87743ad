// Network devices of the host that a container is to have (linux.netDevices): the parent's part of the
// network layer. They are moved while the child waits with its namespaces made, and keep their attributes
// and their permanent global addresses.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "isolation/network/route_socket.h"
#include "oci/spec.h"
#include "sys/pidfd.h"

namespace bulkhead::isolation {

// The move of devices, which is undone unless it is kept: a creation that fails later gives the host
// back what it had.
class NetDevices {
 public:
  NetDevices() = default;
  NetDevices(const NetDevices&) = delete;
  NetDevices& operator=(const NetDevices&) = delete;
  ~NetDevices() { put_back(); }

  // Into the network namespace that `child` is in. Nothing is moved when a device is not there or a
  // name is taken.
  Result<void> move(const std::map<std::string, oci::NetDevice>& wish, const PidFd& child);
  void keep() noexcept { moved_.clear(); }

 private:
  struct Device {
    std::string host_name;
    std::string wanted_name;  // may end in %d
    std::uint32_t index = 0;
    bool up = false;
    std::vector<std::vector<char>> addresses;  // struct ifaddrmsg and its attributes
  };
  Result<Device> look_up(const std::string& host_name, const std::string& wanted_name) const;
  Result<void> move_one(Device& device);
  static Result<void> equip(const RouteSocket& socket, const Device& device, bool up);
  void put_back() noexcept;

  std::optional<RouteSocket> here_;
  std::optional<RouteSocket> there_;
  Fd own_namespace_;
  Fd container_namespace_;
  std::vector<Device> moved_;
};

}  // namespace bulkhead::isolation
