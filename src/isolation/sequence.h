// The order in which a new process gives up power: one table. Read it from top to bottom; each
// layer's `After` list says which neighbours it depends on, and the compiler checks them all.
#pragma once

#include <tuple>
#include <type_traits>

#include "isolation/capabilities/capabilities.h"
#include "isolation/cgroup/cgroup.h"
#include "isolation/cgroup_namespace/cgroup_namespace.h"
#include "isolation/console/console.h"
#include "isolation/descriptors/descriptors.h"
#include "isolation/devices/devices.h"
#include "isolation/identity/identity.h"
#include "isolation/ipc/ipc.h"
#include "isolation/keyring/keyring.h"
#include "isolation/landlock/landlock.h"
#include "isolation/layer.h"
#include "isolation/lsm/lsm_label.h"
#include "isolation/masked_paths/masked_paths.h"
#include "isolation/mount_namespace/mount_namespace.h"
#include "isolation/mounts/mounts.h"
#include "isolation/network/network.h"
#include "isolation/no_new_privileges/no_new_privileges.h"
#include "isolation/oom_score/oom_score.h"
#include "isolation/personality/personality.h"
#include "isolation/pid/pid.h"
#include "isolation/rlimits/rlimits.h"
#include "isolation/root_switch/root_switch.h"
#include "isolation/rootfs/rootfs.h"
#include "isolation/scheduling/scheduling.h"
#include "isolation/seccomp/seccomp.h"
#include "isolation/sysctl/sysctl.h"
#include "isolation/time/time.h"
#include "isolation/user/user.h"
#include "isolation/uts/uts.h"
#include "isolation/working_directory/working_directory.h"

namespace bulkhead::isolation {

// clang-format off

// `create` and `run`.
struct ContainerSequence {
  using EnterNamespaces = LayerList<UserNamespace, PidNamespace, UtsNamespace, IpcNamespace,
                                    NetworkNamespace, TimeNamespace, MountNamespace>;
  using BuildRoot       = LayerList<Rootfs, EarlyMounts, CgroupLimits, LateMounts, CgroupNamespace,
                                    Devices, Console, MaskedPaths>;
  // createRuntime and createContainer hooks run here.
  using LeaveHost       = LayerList<RootSwitch, Sysctls, WorkingDirectory>;
  using GiveUpPower     = LayerList<SessionKeyring, OomScore, Scheduling, PersonalityLayer,
                                    LsmLabel, Identity, Capabilities, NoNewPrivileges>;
  // Everything above is verified here.
  using CloseDoors      = LayerList<Descriptors, Rlimits>;
  // The start signal, then the startContainer hooks.
  using LastActs        = LayerList<Landlock, Seccomp>;
  // execve.
};

// `exec`: the container's namespaces, root and cgroups are joined, not made.
struct ExecSequence {
  using EnterNamespaces = LayerList<UserNamespace>;
  using BuildRoot       = LayerList<Console>;
  using LeaveHost       = LayerList<WorkingDirectory>;
  using GiveUpPower     = ContainerSequence::GiveUpPower;
  using CloseDoors      = ContainerSequence::CloseDoors;
  using LastActs        = ContainerSequence::LastActs;
};

// clang-format on

namespace detail {

template <class... Lists>
using Concatenate = decltype(std::tuple_cat(std::declval<Lists>()...));

template <class L, class List>
inline constexpr bool kContains = false;
template <class L, class... Ls>
inline constexpr bool kContains<L, std::tuple<Ls*...>> = (std::is_same_v<L, Ls> || ...);

// Every layer that `L` must come after has been `Seen`. A sequence that leaves layers out on purpose
// (exec) is judged by those that it has; one that forgets a layer is not.
template <class L, class Seen, class All, bool kWhole, class... Needed>
consteval bool follows(std::tuple<Needed*...>*) {
  return ((kContains<Needed, Seen> || (!kWhole && !kContains<Needed, All>)) && ...);
}

template <class All, bool kWhole, class Seen>
consteval bool in_order(Seen*, std::tuple<>*) {
  return true;
}
template <class All, bool kWhole, class... Seen, class First, class... Rest>
consteval bool in_order(std::tuple<Seen*...>*, std::tuple<First*, Rest*...>*) {
  static_assert(Layer<First>, "not a layer: see isolation/layer.h");
  static_assert(follows<First, std::tuple<Seen*...>, All, kWhole>(
                    static_cast<typename First::After*>(nullptr)),
                "a layer stands before one that its After list names, or that one is missing");
  return in_order<All, kWhole>(static_cast<std::tuple<Seen*..., First*>*>(nullptr),
                               static_cast<std::tuple<Rest*...>*>(nullptr));
}

}  // namespace detail

// All layers of a sequence, in order.
template <class Sequence>
using LayersOf =
    detail::Concatenate<typename Sequence::EnterNamespaces, typename Sequence::BuildRoot,
                        typename Sequence::LeaveHost, typename Sequence::GiveUpPower,
                        typename Sequence::CloseDoors, typename Sequence::LastActs>;

static_assert(detail::in_order<LayersOf<ContainerSequence>, true>(
    static_cast<std::tuple<>*>(nullptr), static_cast<LayersOf<ContainerSequence>*>(nullptr)));
static_assert(detail::in_order<LayersOf<ExecSequence>, false>(
    static_cast<std::tuple<>*>(nullptr), static_cast<LayersOf<ExecSequence>*>(nullptr)));

}  // namespace bulkhead::isolation
