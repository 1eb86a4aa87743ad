// sysctls: kernel parameters, and only those that a namespace of the container owns.
//
// Stops:    a spec that sets a parameter of the whole host, or of a namespace that is shared with
// it
//           (CVE-2022-0811 got kernel.core_pattern that way).
// Does not: stop root in the container from changing the same parameters later; /proc/sys is
//           read-only there by default.
// Kernel:   /proc/sys; net.* per network namespace, kernel.msg*, kernel.sem*, kernel.shm* and
//           fs.mqueue.* per IPC namespace, kernel.domainname per UTS namespace.
// Order:    after the namespaces and after the root is switched; while the process holds the
//           capabilities of the namespaces' owner. Written through the procfs of the host that
//           launch/ has checked: /proc/sys shows the namespaces of the process that opens it.
#pragma once

#include <cstdint>

#include "isolation/namespace.h"

namespace bulkhead::isolation {

struct IpcNamespace;
struct NetworkNamespace;
struct RootSwitch;
struct UserNamespace;
struct UtsNamespace;

struct Sysctls {
  static constexpr std::string_view kName = "sysctls";
  static constexpr Card kCard{
      .stops = "setting kernel parameters that no namespace of the container owns",
      .does_not_stop =
          "root in the container changing its own parameters, if /proc/sys is writable",
      .kernel = "/proc/sys of the network, IPC and UTS namespaces",
      .order = "after the namespaces and the switch of the root; before the identity is given up",
  };
  using After = LayerList<UserNamespace, UtsNamespace, IpcNamespace, NetworkNamespace, RootSwitch>;

  struct Setting {
    std::string name;   // with dots, as people write it
    std::string path;   // beneath procfs: "sys/net/ipv4/ip_forward"
    std::string value;  // with the newline that is written
    oci::NamespaceType owner{};
    // The value as numbers, if it is nothing else: what verify compares.
    std::vector<std::int64_t> numbers;
  };
  struct Plan {
    std::vector<Setting> settings;
    // Namespaces that are joined by path: the path could name the host's own.
    std::vector<NamespacePlan> joined;
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

// A parameter's parts. As in sysctl.d(5), the first separator decides: if it is a dot, dots
// separate and a slash stands for a dot within a name ("net.ipv4.conf.eth0/1.forwarding"); if it is
// a slash, slashes separate and dots are themselves.
Result<std::vector<std::string>> sysctl_parts(std::string_view name);

}  // namespace bulkhead::isolation
