// What the host's kernel and this process can do, read once before a plan is made, so that
// describe() is a pure function. Tests fill it by hand.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::isolation {

// One mounted cgroup hierarchy.
struct CgroupHierarchy {
  std::vector<std::string> controllers;  // v1: {"cpu","cpuacct"} or {"name=systemd"}; v2: what
                                         // cgroup.controllers of the root lists
  std::string mount_point;               // "/sys/fs/cgroup/cpu"
  std::string mount_root = "/";          // which group of the hierarchy is mounted there
  std::string own_path;  // this process's group in it ("/" or "/user.slice/..."), relative to the
                         // mount's root
  bool v2 = false;
  // v2: the group beneath which this process may make others when it is not privileged. The one above
  // its own where that was delegated to its user: its own holds a process, which cgroup v2 does not
  // share resources out beneath. Else, and where empty, its own.
  std::string delegated_path;
};

// The systemd that keeps the groups of this process, when its driver was chosen.
struct SystemdFacts {
  std::string root;           // the group that all of its units lie in; "" for the system's manager
  std::string default_slice;  // "system.slice", "user.slice"
  std::string device_classes;  // the text of /proc/devices
};

struct HostFacts {
  // This process.
  std::uint32_t euid = 0;
  std::uint32_t egid = 0;
  std::uint64_t effective_capabilities = 0;  // bit n: capability number n
  std::uint64_t bounding_capabilities = 0;
  bool in_initial_user_namespace = true;  // by the number that the kernel gives that namespace
  bool setgroups_denied = false;          // /proc/self/setgroups of an outer user namespace
  std::uint64_t ignored_signals = 0;      // bit n - 1: signal n
  std::int32_t session_keyring = 0;       // serial number; 0: a kernel without keyrings
  // The namespaces that this process is in, by their numbers in /proc/self/ns; 0: no such namespace
  // in this kernel. By oci::NamespaceType.
  std::array<std::uint64_t, oci::kNamespaceTypeCount> namespaces{};

  // The kernel.
  int kernel_major = 0;
  int kernel_minor = 0;
  int last_capability = 0;    // /proc/sys/kernel/cap_last_cap
  int landlock_abi = 0;       // 0: not there
  bool apparmor = false;      // enabled in this kernel
  std::string apparmor_mode;  // of the profile that the spec names ("complain"); empty: not known
  bool selinux = false;
  bool time_namespace = false;  // /proc/self/ns/time is there
  bool user_namespace = true;
  bool cgroup_namespace = true;
  std::vector<CgroupHierarchy> cgroups;
  std::optional<SystemdFacts> systemd;

  bool has_capability(int number) const { return (effective_capabilities >> number & 1U) != 0; }
  // Root in the initial user namespace with CAP_SYS_ADMIN.
  bool privileged() const { return in_initial_user_namespace && has_capability(21); }
  std::uint64_t namespace_number(oci::NamespaceType type) const {
    return namespaces[static_cast<std::size_t>(type)];
  }
};

// Everything above but `cgroups` (isolation/cgroup/discover.h) and `systemd` (systemd_manager.h):
// about 25 system calls.
Result<HostFacts> gather_host_facts();

}  // namespace bulkhead::isolation
