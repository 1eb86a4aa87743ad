// From what the user wants, the image and the container's identity to the specification that the
// runtime carries out. Pure: everything about the host comes in by `Circumstances`. The defaults are
// here, and nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "engine/cdi.h"
#include "engine/device_nodes.h"
#include "engine/wish.h"
#include "isolation/lsm/default_profile.h"
#include "isolation/request.h"
#include "oci/image.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// A default of memory: three quarters of the host's, so that no container takes the host down.
// A default of processes: what busy services need, and a fork bomb does not get far with.
inline constexpr std::int64_t kDefaultPids = 2048;

// Another container's namespaces, held by descriptor: paths beneath /proc/self/fd.
struct JoinedNamespaces {
  std::string name;
  std::string user;  // its user namespace owns the others, and is joined with them
  std::string pid;
  std::string ipc;
  bool shm = false;  // its /dev/shm is handed over
};

struct Circumstances {
  std::string id;  // 64 hexadecimal digits
  std::string name;
  std::string image;  // as the user named it
  HostUid first_uid;  // of the container's own range of kContainerIds ids
  HostGid first_gid;
  oci::User user;                 // resolved
  std::uint64_t host_memory = 0;  // bytes
  bool host_has_swap = false;
  bool time_namespace = true;
  // Clocks of the host now: the container's own begin at about 0.
  std::int64_t monotonic_seconds = 0;
  std::int64_t boottime_seconds = 0;
  bool apparmor = false;  // the default profile is loaded
  bool selinux = false;
  // The profile of --security-opt seccomp=FILE, already read.
  std::optional<oci::Seccomp> seccomp;
  std::string host_name;
  bool host_mqueue = false;  // /dev/mqueue is mounted
  std::vector<DeviceNode> devices;
  CdiEdits cdi;  // but for the nodes, which are in `devices`
  std::optional<JoinedNamespaces> joined;
  // The rule set of --security-opt landlock=FILE, already read.
  std::string landlock;
  std::string init;  // the file of bulkhead-init on the host, where it is wanted
  // Of the root file system, for whoever reads the container's state.
  std::string storage;
  std::string size_limit;  // empty: none
};

// The container's limit of memory in bytes; -1: none.
std::int64_t memory_limit(const Wish& wish, const Circumstances& circumstances);

// The limits of CPU time and of processors that a wish names.
std::optional<oci::CpuLimits> cpu_limits(const Wish& wish);

struct Composed {
  oci::Spec spec;
  isolation::Defaults defaults;
  // What the user's flags opened beyond the defaults, as sentences for `explain`.
  std::vector<std::string> opened;
  Labels labels;  // the image's and the user's
};

Result<Composed> compose(const Wish& wish, const oci::ImageConfig& image,
                         const Circumstances& circumstances);

// What runs: the image's entrypoint and command, replaced by the user's where given.
Result<std::vector<std::string>> compose_arguments(const Wish& wish, const oci::ImageConfig& image);
std::vector<std::string> compose_environment(const Wish& wish, const oci::ImageConfig& image,
                                             const std::string& hostname);

// What is no longer isolated because a flag says so.
std::vector<std::string> opened_by(const Wish& wish, const Circumstances& circumstances);

inline constexpr std::string_view kDefaultAppArmorProfile = isolation::kDefaultAppArmorProfileName;

}  // namespace bulkhead::engine
