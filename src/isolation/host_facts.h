// What the host's kernel and this process can do, read once before a plan is made, so that describe()
// is a pure function. Tests fill it by hand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::isolation {

// One mounted cgroup hierarchy.
struct CgroupHierarchy {
  std::vector<std::string> controllers;  // v1: {"cpu","cpuacct"} or {"name=systemd"}; v2: what cgroup.controllers of the root lists
  std::string mount_point;               // "/sys/fs/cgroup/cpu"
  std::string own_path;                  // this process's group in it ("/" or "/user.slice/..."), relative to the mount's root
  bool v2 = false;
};

struct HostFacts {
  // This process.
  std::uint32_t euid = 0;
  std::uint32_t egid = 0;
  std::uint64_t effective_capabilities = 0;  // bit n: capability number n
  std::uint64_t bounding_capabilities = 0;
  bool in_initial_user_namespace = true;     // /proc/self/uid_map is "0 0 4294967295"

  // The kernel.
  int kernel_major = 0;
  int kernel_minor = 0;
  int last_capability = 0;        // /proc/sys/kernel/cap_last_cap
  int landlock_abi = 0;           // 0: not there
  bool apparmor = false;          // enabled in this kernel
  bool selinux = false;
  bool time_namespace = false;    // /proc/self/ns/time is there
  bool user_namespace = true;
  bool cgroup_namespace = true;
  std::vector<CgroupHierarchy> cgroups;

  bool has_capability(int number) const { return (effective_capabilities >> number & 1U) != 0; }
  // Root in the initial user namespace with CAP_SYS_ADMIN.
  bool privileged() const { return in_initial_user_namespace && has_capability(21); }
};

}  // namespace bulkhead::isolation
