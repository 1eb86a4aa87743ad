// The names of the fields of every document, once for reading and writing: fields(visitor, object)
// calls the visitor for each field in the order of the specification. The visitor is the
// ObjectReader or the ObjectWriter, whose calls mean:
//   required(name, field)   must be there, and is always written
//   defaulted(name, field)  may be absent, and is always written
//   optional(name, field)   may be absent, and is left out while it is empty, zero or false
//   text(name, map)         as optional, for strings that may hold NUL: no C strings are made of
//   them wrapped(outer, inner, field)  {"outer": {"inner": field}}; inner is required when outer is
//   there
#pragma once

#include <type_traits>

#include "oci/spec.h"

namespace bulkhead::oci {

// T or const T.
template <class Object, class T>
concept Any = std::is_same_v<std::remove_const_t<Object>, T>;

// --- process ---------------------------------------------------------------------------------

void fields(auto& visit, Any<ConsoleSize> auto& size) {
  visit.required("height", size.height);
  visit.required("width", size.width);
}

void fields(auto& visit, Any<User> auto& user) {
  visit.required("uid", user.uid);
  visit.required("gid", user.gid);
  visit.optional("umask", user.umask);
  visit.optional("additionalGids", user.additional_gids);
}

void fields(auto& visit, Any<CapabilitySets> auto& sets) {
  visit.optional("bounding", sets.bounding);
  visit.optional("effective", sets.effective);
  visit.optional("inheritable", sets.inheritable);
  visit.optional("permitted", sets.permitted);
  visit.optional("ambient", sets.ambient);
}

void fields(auto& visit, Any<Rlimit> auto& limit) {
  visit.required("type", limit.type);
  visit.required("hard", limit.hard);
  visit.required("soft", limit.soft);
}

void fields(auto& visit, Any<Scheduler> auto& scheduler) {
  visit.required("policy", scheduler.policy);
  visit.optional("nice", scheduler.nice);
  visit.optional("priority", scheduler.priority);
  visit.optional("flags", scheduler.flags);
  visit.optional("runtime", scheduler.runtime);
  visit.optional("deadline", scheduler.deadline);
  visit.optional("period", scheduler.period);
}

void fields(auto& visit, Any<IoPriority> auto& priority) {
  visit.required("class", priority.class_name);
  visit.defaulted("priority", priority.priority);
}

void fields(auto& visit, Any<ExecCpuAffinity> auto& affinity) {
  visit.optional("initial", affinity.initial);
  visit.optional("final", affinity.final);
}

void fields(auto& visit, Any<Process> auto& process) {
  visit.optional("terminal", process.terminal);
  visit.optional("consoleSize", process.console_size);
  visit.defaulted("user", process.user);
  visit.optional("args", process.args);
  visit.optional("env", process.env);
  visit.required("cwd", process.cwd);
  visit.optional("capabilities", process.capabilities);
  visit.optional("rlimits", process.rlimits);
  visit.optional("noNewPrivileges", process.no_new_privileges);
  visit.optional("apparmorProfile", process.apparmor_profile);
  visit.optional("oomScoreAdj", process.oom_score_adj);
  visit.optional("scheduler", process.scheduler);
  visit.optional("selinuxLabel", process.selinux_label);
  visit.optional("ioPriority", process.io_priority);
  visit.optional("execCPUAffinity", process.exec_cpu_affinity);
}

// --- root, mounts, hooks -----------------------------------------------------------------------

void fields(auto& visit, Any<Root> auto& root) {
  visit.required("path", root.path);
  visit.optional("readonly", root.readonly);
}

void fields(auto& visit, Any<IdMapping> auto& mapping) {
  visit.required("containerID", mapping.container_id);
  visit.required("hostID", mapping.host_id);
  visit.required("size", mapping.size);
}

void fields(auto& visit, Any<Mount> auto& mount) {
  visit.required("destination", mount.destination);
  visit.optional("type", mount.type);
  visit.optional("source", mount.source);
  visit.optional("options", mount.options);
  visit.optional("uidMappings", mount.uid_mappings);
  visit.optional("gidMappings", mount.gid_mappings);
}

void fields(auto& visit, Any<Hook> auto& hook) {
  visit.required("path", hook.path);
  visit.optional("args", hook.args);
  visit.optional("env", hook.env);
  visit.optional("timeout", hook.timeout);
}

void fields(auto& visit, Any<Hooks> auto& hooks) {
  visit.optional("prestart", hooks.prestart);
  visit.optional("createRuntime", hooks.create_runtime);
  visit.optional("createContainer", hooks.create_container);
  visit.optional("startContainer", hooks.start_container);
  visit.optional("poststart", hooks.poststart);
  visit.optional("poststop", hooks.poststop);
}

// --- resources -----------------------------------------------------------------------------------

void fields(auto& visit, Any<DeviceRule> auto& rule) {
  visit.required("allow", rule.allow);
  visit.defaulted("type", rule.type);
  visit.optional("major", rule.major);
  visit.optional("minor", rule.minor);
  visit.optional("access", rule.access);
}

void fields(auto& visit, Any<MemoryLimits> auto& memory) {
  visit.optional("limit", memory.limit);
  visit.optional("reservation", memory.reservation);
  visit.optional("swap", memory.swap);
  visit.optional("kernel", memory.kernel);
  visit.optional("kernelTCP", memory.kernel_tcp);
  visit.optional("swappiness", memory.swappiness);
  visit.optional("disableOOMKiller", memory.disable_oom_killer);
  visit.optional("useHierarchy", memory.use_hierarchy);
  visit.optional("checkBeforeUpdate", memory.check_before_update);
}

void fields(auto& visit, Any<CpuLimits> auto& cpu) {
  visit.optional("shares", cpu.shares);
  visit.optional("quota", cpu.quota);
  visit.optional("burst", cpu.burst);
  visit.optional("period", cpu.period);
  visit.optional("realtimeRuntime", cpu.realtime_runtime);
  visit.optional("realtimePeriod", cpu.realtime_period);
  visit.optional("cpus", cpu.cpus);
  visit.optional("mems", cpu.mems);
  visit.optional("idle", cpu.idle);
}

void fields(auto& visit, Any<BlockWeightDevice> auto& device) {
  visit.required("major", device.major);
  visit.required("minor", device.minor);
  visit.optional("weight", device.weight);
  visit.optional("leafWeight", device.leaf_weight);
}

void fields(auto& visit, Any<BlockThrottleDevice> auto& device) {
  visit.required("major", device.major);
  visit.required("minor", device.minor);
  visit.required("rate", device.rate);
}

void fields(auto& visit, Any<BlockIoLimits> auto& block_io) {
  visit.optional("weight", block_io.weight);
  visit.optional("leafWeight", block_io.leaf_weight);
  visit.optional("weightDevice", block_io.weight_device);
  visit.optional("throttleReadBpsDevice", block_io.throttle_read_bps_device);
  visit.optional("throttleWriteBpsDevice", block_io.throttle_write_bps_device);
  visit.optional("throttleReadIOPSDevice", block_io.throttle_read_iops_device);
  visit.optional("throttleWriteIOPSDevice", block_io.throttle_write_iops_device);
}

void fields(auto& visit, Any<HugepageLimit> auto& limit) {
  visit.required("pageSize", limit.page_size);
  visit.required("limit", limit.limit);
}

void fields(auto& visit, Any<InterfacePriority> auto& priority) {
  visit.required("name", priority.name);
  visit.required("priority", priority.priority);
}

void fields(auto& visit, Any<NetworkClass> auto& network) {
  visit.optional("classID", network.class_id);
  visit.optional("priorities", network.priorities);
}

void fields(auto& visit, Any<RdmaLimit> auto& limit) {
  visit.optional("hcaHandles", limit.hca_handles);
  visit.optional("hcaObjects", limit.hca_objects);
}

void fields(auto& visit, Any<Resources> auto& resources) {
  visit.optional("devices", resources.devices);
  visit.optional("memory", resources.memory);
  visit.optional("cpu", resources.cpu);
  visit.wrapped("pids", "limit", resources.pids_limit);
  visit.optional("blockIO", resources.block_io);
  visit.optional("hugepageLimits", resources.hugepage_limits);
  visit.optional("network", resources.network);
  visit.optional("rdma", resources.rdma);
  visit.optional("unified", resources.unified);
}

// --- seccomp -------------------------------------------------------------------------------------

void fields(auto& visit, Any<SeccompArgument> auto& argument) {
  visit.required("index", argument.index);
  visit.required("value", argument.value);
  visit.optional("valueTwo", argument.value_two);
  visit.required("op", argument.op);
}

void fields(auto& visit, Any<SeccompRule> auto& rule) {
  visit.required("names", rule.names);
  visit.required("action", rule.action);
  visit.optional("errnoRet", rule.errno_ret);
  visit.optional("args", rule.args);
}

void fields(auto& visit, Any<Seccomp> auto& seccomp) {
  visit.required("defaultAction", seccomp.default_action);
  visit.optional("defaultErrnoRet", seccomp.default_errno_ret);
  visit.optional("architectures", seccomp.architectures);
  visit.optional("flags", seccomp.flags);
  visit.optional("listenerPath", seccomp.listener_path);
  visit.optional("listenerMetadata", seccomp.listener_metadata);
  visit.optional("syscalls", seccomp.syscalls);
}

// --- linux ---------------------------------------------------------------------------------------

void fields(auto& visit, Any<Namespace> auto& name_space) {
  visit.required("type", name_space.type);
  visit.optional("path", name_space.path);
}

void fields(auto& visit, Any<Device> auto& device) {
  visit.required("path", device.path);
  visit.required("type", device.type);
  visit.optional("major", device.major);
  visit.optional("minor", device.minor);
  visit.optional("fileMode", device.file_mode);
  visit.optional("uid", device.uid);
  visit.optional("gid", device.gid);
}

void fields(auto& visit, Any<NetDevice> auto& device) { visit.optional("name", device.name); }

void fields(auto& visit, Any<TimeOffset> auto& offset) {
  visit.defaulted("secs", offset.secs);
  visit.defaulted("nanosecs", offset.nanosecs);
}

void fields(auto& visit, Any<IntelRdt> auto& rdt) {
  visit.optional("closID", rdt.clos_id);
  visit.optional("schemata", rdt.schemata);
  visit.optional("l3CacheSchema", rdt.l3_cache_schema);
  visit.optional("memBwSchema", rdt.mem_bw_schema);
  visit.optional("enableMonitoring", rdt.enable_monitoring);
}

void fields(auto& visit, Any<MemoryPolicy> auto& policy) {
  visit.required("mode", policy.mode);
  visit.optional("nodes", policy.nodes);
  visit.optional("flags", policy.flags);
}

void fields(auto& visit, Any<Personality> auto& personality) {
  visit.required("domain", personality.domain);
  visit.optional("flags", personality.flags);
}

void fields(auto& visit, Any<Linux> auto& config) {
  visit.optional("namespaces", config.namespaces);
  visit.optional("uidMappings", config.uid_mappings);
  visit.optional("gidMappings", config.gid_mappings);
  visit.optional("timeOffsets", config.time_offsets);
  visit.optional("devices", config.devices);
  visit.optional("netDevices", config.net_devices);
  visit.optional("cgroupsPath", config.cgroups_path);
  visit.optional("resources", config.resources);
  visit.optional("sysctl", config.sysctl);
  visit.optional("seccomp", config.seccomp);
  visit.optional("rootfsPropagation", config.rootfs_propagation);
  visit.optional("maskedPaths", config.masked_paths);
  visit.optional("readonlyPaths", config.readonly_paths);
  visit.optional("mountLabel", config.mount_label);
  visit.optional("intelRdt", config.intel_rdt);
  visit.optional("memoryPolicy", config.memory_policy);
  visit.optional("personality", config.personality);
}

void fields(auto& visit, Any<Spec> auto& spec) {
  visit.required("ociVersion", spec.oci_version);
  visit.optional("process", spec.process);
  visit.optional("root", spec.root);
  visit.optional("hostname", spec.hostname);
  visit.optional("domainname", spec.domainname);
  visit.optional("mounts", spec.mounts);
  visit.optional("hooks", spec.hooks);
  visit.text("annotations", spec.annotations);
  visit.defaulted("linux", spec.linux_);
}

}  // namespace bulkhead::oci
