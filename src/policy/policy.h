// The host's policy: what its administrator forbids or asks of every container, whoever starts it and by
// whatever program. A file that root alone can write, /etc/bulkhead/policy.json:
//
//   {
//     "forbid": ["privileged", "host-user-namespace", "host-mounts", ...],
//     "hostMounts": ["/srv/data"],
//     "capabilities": ["CAP_CHOWN", "CAP_KILL"],
//     "memoryBytes": 2147483648, "processes": 4096, "milliCpus": 2000,
//     "images": ["busybox", "registry.example.com/team/*"],
//     "audit": "/var/log/bulkhead/audit.log"
//   }
//
// forbid        words of rule_names()
// hostMounts    with "host-mounts" forbidden: trees that may be bound all the same
// capabilities  no container holds others
// memoryBytes, processes, milliCpus
//               each container must have a limit, and none above
// images        as the user names them; "*" at the end stands for anything. A start that does not come
//               from `bulkhead run` names no image, and is refused
// audit         a line for each start and refusal is appended there, or nothing starts
//
// No file: no policy. A file that is malformed, has a field that is not known, or that another than root
// could have written stops every start.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::policy {

inline constexpr const char* kPolicyFile = "/etc/bulkhead/policy.json";

enum class Rule : std::uint32_t {
  kPrivileged,
  kHostUserNamespace,
  kHostPidNamespace,
  kHostNetwork,
  kHostIpcNamespace,
  kHostUtsNamespace,
  kHostCgroupNamespace,
  kHostMounts,
  kDevices,
  kHooks,
  kNewPrivileges,
  kUnconfinedSeccomp,
  kUnmaskedPaths,
};
std::span<const std::string_view> rule_names();  // by Rule

struct Policy {
  std::uint32_t forbidden = 0;  // bit n: Rule n
  std::vector<std::string> host_mounts;
  std::optional<std::vector<std::string>> capabilities;
  std::optional<std::int64_t> memory_bytes;
  std::optional<std::int64_t> processes;
  std::optional<std::int64_t> milli_cpus;
  std::optional<std::vector<std::string>> images;
  std::string audit;

  bool forbids(Rule rule) const { return (forbidden >> static_cast<unsigned>(rule) & 1U) != 0; }
};

// Strict.
Result<Policy> parse_policy(std::string_view json);

// Nothing where there is no file.
Result<std::optional<Policy>> read_policy(const char* path = kPolicyFile);

// Who starts what.
struct Subject {
  const oci::Spec& spec;
  std::string container;
  std::string image;  // as `bulkhead run` was given it; empty: not known
  // Destinations of mounts whose source `bulkhead` itself brings (device nodes, another container's
  // memory, its init).
  std::vector<std::string> own_mounts;
  std::string root = {};  // of the file system, absolute; empty: one of an image
};

// What the policy has against it, in sentences; empty: nothing.
std::vector<std::string> violations(const Policy& policy, const Subject& subject);

}  // namespace bulkhead::policy
