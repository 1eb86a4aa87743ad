// landlock: which files a container's programs may touch, and which TCP ports and neighbours they
// may reach, whatever their user id and capabilities allow.
//
// Stops:    use of files outside the listed trees, of rights that a listed tree does not give,
//           and, where the kernel knows them, of TCP ports, abstract sockets and signals.
// Does not: cover what the kernel's ABI does not handle yet (stat, chmod, chown, extended
//           attributes, other protocols than TCP), nor descriptors that were open before.
// Kernel:   landlock_create_ruleset and friends, 5.13+ (ABI 1); the ABI is negotiated.
// Order:    after no-new-privileges (or with CAP_SYS_ADMIN), and after everything that opens files
//           or mounts: a process under Landlock cannot mount. Just before seccomp. apply ends with
//           verify, because nothing of launch/ runs between the two.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "isolation/layer.h"

namespace bulkhead::isolation {

struct Capabilities;
struct NoNewPrivileges;

struct Landlock {
  static constexpr std::string_view kName = "landlock";
  // The annotation whose value is the rule set: policy.h describes it.
  static constexpr std::string_view kAnnotation = "org.bulkhead.landlock";
  static constexpr Card kCard{
      .stops = "use of files, TCP ports and (ABI 6) abstract sockets and signals beyond the listed",
      .does_not_stop = "metadata calls, other protocols, descriptors opened before",
      .kernel = "Landlock, Linux 5.13 (ABI 1) and later ABIs, negotiated",
      .order = "after no-new-privileges and everything that opens or mounts; just before seccomp",
  };
  using After = LayerList<Capabilities, NoNewPrivileges>;

  struct PathRule {
    std::string path;               // in the container
    std::uint64_t access = 0;       // LANDLOCK_ACCESS_FS_*, within what the rule set handles
    std::uint64_t file_access = 0;  // the part of it that a file (not a directory) can have
    bool optional = false;          // skipped where the path does not exist
  };
  struct PortRule {
    std::uint16_t port = 0;
    std::uint64_t access = 0;  // LANDLOCK_ACCESS_NET_*
  };
  // How verify sees the domain, which no file of the kernel shows: by something that the rules
  // deny.
  enum class Probe {
    kNone,        // the rules leave nothing that could be tried without a trace
    kListRoot,    // open "/" to list it
    kWriteNull,   // open /dev/null to write
    kReadNull,    // open /dev/null to read
    kBindTcp,     // bind a socket to `probe_port`
    kConnectTcp,  // connect a socket to `probe_port` of the loopback address
  };
  struct Plan {
    Standing standing = Standing::kNotApplicable;
    std::string reason;
    std::uint64_t handled_access_fs = 0;
    std::uint64_t handled_access_net = 0;
    std::uint64_t scoped = 0;
    std::vector<PathRule> paths;
    std::vector<PortRule> ports;
    Probe probe = Probe::kNone;
    std::uint16_t probe_port = 0;
    int abi = 0;                        // of the kernel
    std::vector<std::string> left_out;  // what the kernel is too old for, in mode best-effort
    bool enabled() const { return standing == Standing::kApplied; }
  };

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  // Tries what the rules deny (Probe). Leaves no trace: nothing is made, read or sent.
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
