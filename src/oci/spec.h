// The runtime-spec's config.json (1.0 to 1.3, Linux) as value types. Names follow the specification
// in snake_case. An absent optional object is std::nullopt, an absent list is empty; where absent
// and empty mean different things, the list itself is optional.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"

namespace bulkhead::oci {

using Annotations = std::map<std::string, std::string>;

// --- process ---------------------------------------------------------------------------------

struct ConsoleSize {
  std::uint16_t height = 0;
  std::uint16_t width = 0;
};

struct User {
  ContainerUid uid;
  ContainerGid gid;
  std::optional<std::uint32_t> umask;
  std::vector<ContainerGid> additional_gids;
};

// Names as in the file ("CAP_CHOWN"): what they map to is the capabilities layer's affair.
struct CapabilitySets {
  std::vector<std::string> bounding;
  std::vector<std::string> effective;
  std::vector<std::string> inheritable;
  std::vector<std::string> permitted;
  std::vector<std::string> ambient;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  std::uint64_t hard = 0;
  std::uint64_t soft = 0;
};

struct Scheduler {
  std::string policy;  // "SCHED_BATCH"
  std::optional<std::int32_t> nice;
  std::optional<std::int32_t> priority;
  std::vector<std::string> flags;         // "SCHED_FLAG_RESET_ON_FORK"
  std::optional<std::uint64_t> runtime;   // nanoseconds
  std::optional<std::uint64_t> deadline;  // nanoseconds
  std::optional<std::uint64_t> period;    // nanoseconds
};

struct IoPriority {
  std::string class_name;  // "IOPRIO_CLASS_BE"
  std::int32_t priority = 0;
};

struct ExecCpuAffinity {
  std::optional<std::string> initial;  // "0-3,7"
  std::optional<std::string> final;
};

struct Process {
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::optional<CapabilitySets> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<std::string> apparmor_profile;
  std::optional<std::int32_t> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<std::string> selinux_label;
  std::optional<IoPriority> io_priority;
  std::optional<ExecCpuAffinity> exec_cpu_affinity;
};

// --- root, mounts, hooks -----------------------------------------------------------------------

struct Root {
  std::string path;
  bool readonly = false;
};

// `size` ids from container_id on are the host's from host_id on. Plain numbers here, because in a
// mount's idmap the two sides mean the file's and the mount's ids.
struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
  bool operator==(const IdMapping&) const = default;
};

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
  // Absent and empty differ: an "idmap" option with empty mappings takes the container's own map.
  std::optional<std::vector<IdMapping>> uid_mappings;
  std::optional<std::vector<IdMapping>> gid_mappings;
};

struct Hook {
  std::string path;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<std::int32_t> timeout;  // seconds, > 0
};

struct Hooks {
  std::vector<Hook> prestart;
  std::vector<Hook> create_runtime;
  std::vector<Hook> create_container;
  std::vector<Hook> start_container;
  std::vector<Hook> poststart;
  std::vector<Hook> poststop;
};

// --- linux ---------------------------------------------------------------------------------------

enum class NamespaceType { kPid, kNetwork, kMount, kIpc, kUts, kUser, kCgroup, kTime };
inline constexpr int kNamespaceTypeCount = 8;

struct Namespace {
  NamespaceType type{};
  std::string path;  // empty: a new one
};

struct Device {
  std::string type;  // "c", "b", "u" or "p"
  std::string path;
  std::optional<std::int64_t> major;
  std::optional<std::int64_t> minor;
  std::optional<std::uint32_t> file_mode;
  std::optional<ContainerUid> uid;
  std::optional<ContainerGid> gid;
};

struct NetDevice {
  std::optional<std::string> name;  // the name inside the container
};

struct TimeOffset {
  std::int64_t secs = 0;
  std::uint32_t nanosecs = 0;
};

struct DeviceRule {
  bool allow = false;
  std::string type = "a";  // "a", "b" or "c"
  std::optional<std::int64_t> major;
  std::optional<std::int64_t> minor;
  std::string access;  // of "rwm"
};

struct MemoryLimits {
  std::optional<std::int64_t> limit;        // bytes; -1 is unlimited
  std::optional<std::int64_t> reservation;  // bytes
  std::optional<std::int64_t> swap;         // bytes, memory and swap together
  std::optional<std::int64_t> kernel;       // bytes; deprecated
  std::optional<std::int64_t> kernel_tcp;   // bytes; deprecated
  std::optional<std::uint64_t> swappiness;  // 0 to 100
  std::optional<bool> disable_oom_killer;
  std::optional<bool> use_hierarchy;
  std::optional<bool> check_before_update;
};

struct CpuLimits {
  std::optional<std::uint64_t> shares;
  std::optional<std::int64_t> quota;    // microseconds per period; -1 is unlimited
  std::optional<std::uint64_t> burst;   // microseconds
  std::optional<std::uint64_t> period;  // microseconds
  std::optional<std::int64_t> realtime_runtime;
  std::optional<std::uint64_t> realtime_period;
  std::optional<std::string> cpus;  // "0-3,7"
  std::optional<std::string> mems;
  std::optional<std::int64_t> idle;  // 0 or 1
};

struct BlockWeightDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
};

struct BlockThrottleDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::uint64_t rate = 0;  // bytes or operations per second
};

struct BlockIoLimits {
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
  std::vector<BlockWeightDevice> weight_device;
  std::vector<BlockThrottleDevice> throttle_read_bps_device;
  std::vector<BlockThrottleDevice> throttle_write_bps_device;
  std::vector<BlockThrottleDevice> throttle_read_iops_device;
  std::vector<BlockThrottleDevice> throttle_write_iops_device;
};

struct HugepageLimit {
  std::string page_size;    // "2MB"
  std::uint64_t limit = 0;  // bytes
};

struct InterfacePriority {
  std::string name;
  std::uint32_t priority = 0;
};

struct NetworkClass {
  std::optional<std::uint32_t> class_id;
  std::vector<InterfacePriority> priorities;
};

struct RdmaLimit {
  std::optional<std::uint32_t> hca_handles;
  std::optional<std::uint32_t> hca_objects;
};

struct Resources {
  std::vector<DeviceRule> devices;
  std::optional<MemoryLimits> memory;
  std::optional<CpuLimits> cpu;
  std::optional<std::int64_t> pids_limit;  // pids.limit; 0 or less is unlimited
  std::optional<BlockIoLimits> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<NetworkClass> network;
  std::map<std::string, RdmaLimit> rdma;
  std::map<std::string, std::string> unified;  // cgroup v2 file name to value
};

struct SeccompArgument {
  std::uint32_t index = 0;  // 0 to 5
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;
  std::string op;  // "SCMP_CMP_EQ"
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW"
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArgument> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64"
  std::vector<std::string> flags;          // "SECCOMP_FILTER_FLAG_LOG"
  std::string listener_path;
  std::string listener_metadata;
  std::vector<SeccompRule> syscalls;
};

struct IntelRdt {
  std::string clos_id;
  std::vector<std::string> schemata;
  std::string l3_cache_schema;
  std::string mem_bw_schema;
  bool enable_monitoring = false;
};

struct MemoryPolicy {
  std::string mode;   // "MPOL_BIND"
  std::string nodes;  // "0-1"
  std::vector<std::string> flags;
};

struct Personality {
  std::string domain;  // "LINUX" or "LINUX32"
  std::vector<std::string> flags;
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  std::vector<Device> devices;
  std::map<std::string, NetDevice> net_devices;  // by the interface's name on the host
  std::string cgroups_path;
  std::optional<Resources> resources;
  std::map<std::string, std::string> sysctl;
  std::optional<Seccomp> seccomp;
  std::string rootfs_propagation;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;
  std::optional<IntelRdt> intel_rdt;
  std::optional<MemoryPolicy> memory_policy;
  std::optional<Personality> personality;
};

struct Spec {
  std::string oci_version;
  std::optional<Root> root;
  std::vector<Mount> mounts;
  std::optional<Process> process;
  std::string hostname;
  std::string domainname;
  std::optional<Hooks> hooks;
  Annotations annotations;
  Linux linux_;  // trailing underscore: GNU modes predefine `linux` as a macro
  // JSON pointers of fields that this build does not know; the spec says to ignore them.
  std::vector<std::string> unknown_fields;
};

}  // namespace bulkhead::oci
