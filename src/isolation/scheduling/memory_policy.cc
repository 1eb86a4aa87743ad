#include "isolation/scheduling/memory_policy.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "isolation/scheduling/scheduling.h"

namespace bulkhead::isolation {
namespace {

// Newer than the headers of some systems that this is built on.
constexpr int kPreferredMany = 5;        // MPOL_PREFERRED_MANY, Linux 5.15
constexpr int kWeightedInterleave = 6;   // MPOL_WEIGHTED_INTERLEAVE, Linux 6.9
constexpr int kNumaBalancing = 1 << 13;  // MPOL_F_NUMA_BALANCING, Linux 5.12
constexpr int kFlags = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | kNumaBalancing;
constexpr unsigned long kMostNodes = CPU_SETSIZE;

constexpr std::array<std::string_view, 7> kModeNames{
    "MPOL_DEFAULT",   "MPOL_BIND",  "MPOL_INTERLEAVE",    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED", "MPOL_LOCAL", "MPOL_PREFERRED_MANY"};
constexpr std::array<int, 7> kModes{MPOL_DEFAULT,        MPOL_BIND,      MPOL_INTERLEAVE,
                                    kWeightedInterleave, MPOL_PREFERRED, MPOL_LOCAL,
                                    kPreferredMany};
constexpr std::array<std::string_view, 3> kFlagNames{
    "MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"};
constexpr std::array<int, 3> kFlagValues{kNumaBalancing, MPOL_F_RELATIVE_NODES,
                                         MPOL_F_STATIC_NODES};

template <std::size_t Size>
std::optional<int> value_of(const std::array<std::string_view, Size>& names,
                            const std::array<int, Size>& values, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return values[static_cast<std::size_t>(found - names.begin())];
}

}  // namespace

Result<MemoryPolicy> plan_memory_policy(const oci::MemoryPolicy& wish) {
  const std::string where = "/linux/memoryPolicy";
  MemoryPolicy policy;
  CPU_ZERO(&policy.nodes);
  const auto mode = value_of(kModeNames, kModes, wish.mode);
  if (!mode)
    return fail(ErrorKind::kInvalid, where + "/mode: no mode " + quoted(wish.mode),
                "modes are as in set_mempolicy(2): MPOL_BIND, MPOL_INTERLEAVE, …");
  const bool takes_none = *mode == MPOL_DEFAULT || *mode == MPOL_LOCAL;
  policy.mode = *mode;
  for (const std::string& name : wish.flags) {
    const auto flag = value_of(kFlagNames, kFlagValues, name);
    if (!flag)
      return fail(ErrorKind::kInvalid, where + "/flags: no flag " + quoted(name),
                  "flags are MPOL_F_NUMA_BALANCING, MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES");
    if (takes_none)
      return fail(ErrorKind::kInvalid, where + "/flags: " + wish.mode + " takes no flags");
    policy.mode |= *flag;
  }
  if (wish.nodes.empty()) {
    // Without nodes, MPOL_PREFERRED means the node that a process runs on.
    if (takes_none || *mode == MPOL_PREFERRED) return policy;
    return fail(ErrorKind::kInvalid, where + "/nodes: " + wish.mode + " needs a memory node",
                "write a list, as in \"0-3,7\"");
  }
  if (takes_none)
    return fail(ErrorKind::kInvalid, where + "/nodes: " + wish.mode + " takes no memory nodes",
                "leave the field out, or choose another mode");
  const auto nodes = parse_cpu_list(wish.nodes);
  if (!nodes)
    return fail(ErrorKind::kInvalid,
                where + "/nodes: " + quoted(wish.nodes) + " is no list of memory nodes",
                "write it as in \"0-3,7\"");
  policy.nodes = *nodes;
  policy.has_nodes = true;
  return policy;
}

SysResult<void> set_memory_policy(const MemoryPolicy& policy) noexcept {
  // The kernel takes one bit less than it is told of.
  if (::syscall(SYS_set_mempolicy, policy.mode, &policy.nodes, kMostNodes + 1) == 0) return {};
  return sys_fail(errno == EINVAL ? "set_mempolicy (a mode that this kernel lacks, flags that the "
                                    "mode does not take, or memory nodes that are not there)"
                                  : "set_mempolicy");
}

SysResult<void> verify_memory_policy(const MemoryPolicy& policy) noexcept {
  int mode = -1;
  cpu_set_t nodes;
  CPU_ZERO(&nodes);
  if (::syscall(SYS_get_mempolicy, &mode, &nodes, kMostNodes + 1, nullptr, 0) != 0)
    return sys_fail("get_mempolicy");
  // A preference without a node is another name of MPOL_LOCAL; kernels tell it either way.
  const auto by_one_name = [&](int told) {
    const int bare = told & ~kFlags;
    return bare == MPOL_LOCAL || (bare == MPOL_PREFERRED && !policy.has_nodes) ? MPOL_LOCAL : told;
  };
  if (by_one_name(mode) != by_one_name(policy.mode))
    return not_held("get_mempolicy shows another memory policy");
  // The nodes that it shows are those that a cpuset leaves, counted anew for relative ones.
  if ((policy.mode & MPOL_F_STATIC_NODES) != 0) {
    cpu_set_t common;
    CPU_AND(&common, &nodes, &policy.nodes);
    if (!CPU_EQUAL(&common, &nodes)) return not_held("get_mempolicy shows other memory nodes");
  }
  return {};
}

std::span<const std::string_view> memory_policy_modes() noexcept { return kModeNames; }
std::span<const std::string_view> memory_policy_flags() noexcept { return kFlagNames; }

}  // namespace bulkhead::isolation
