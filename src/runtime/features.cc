#include "runtime/features.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>

#include "isolation/capabilities/names.h"
#include "isolation/namespace.h"
#include "isolation/scheduling/memory_policy.h"
#include "oci/version.h"
#include "runtime/criu_worker.h"
#include "runtime/hooks.h"

namespace bulkhead::runtime {
namespace {

// The words that isolation/mounts understands; a test asks it for each.
oci::Names mount_options() {
  oci::Names names = {
      "async",   "bind",   "defaults",   "dirsync",    "idmap",     "iversion",    "lazytime",
      "loud",    "mand",   "noiversion", "nolazytime", "nomand",    "private",     "rbind",
      "remount", "ridmap", "rprivate",   "rshared",    "rslave",    "runbindable", "shared",
      "silent",  "slave",  "sync",       "tmpcopyup",  "unbindable"};
  for (const char* attribute :
       {"atime", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec",
        "norelatime", "nostrictatime", "nosuid", "nosymfollow", "relatime", "ro", "rw",
        "strictatime", "suid", "symfollow"}) {
    names.emplace_back(attribute);
    names.push_back(std::string("r") + attribute);
  }
  return names;
}

oci::Names hooks() {
  oci::Names names;
  for (const HookStage stage :
       {HookStage::kPrestart, HookStage::kCreateRuntime, HookStage::kCreateContainer,
        HookStage::kStartContainer, HookStage::kPoststart, HookStage::kPoststop})
    names.emplace_back(name_of(stage));
  return names;
}

oci::Names namespaces(const isolation::HostFacts& host) {
  oci::Names names;
  for (int type = 0; type < oci::kNamespaceTypeCount; ++type) {
    const auto which = static_cast<oci::NamespaceType>(type);
    if (host.namespace_number(which) != 0) names.emplace_back(isolation::namespace_name(which));
  }
  return names;
}

oci::Names capabilities(const isolation::HostFacts& host) {
  oci::Names names;
  for (int number = 0; number <= host.last_capability && number < isolation::kCapabilityCount;
       ++number)
    names.push_back(isolation::capability_name(number));
  return names;
}

// Asked of the kernel with a filter that is not there: a flag that it knows leads on to EFAULT.
bool kernel_knows_filter_flag(unsigned flag) {
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flag, nullptr) != 0 && errno == EFAULT;
}

oci::SeccompFeatures seccomp() {
  oci::SeccompFeatures features;
  features.enabled = true;
  features.actions = {"SCMP_ACT_ALLOW",        "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
                      "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                      "SCMP_ACT_NOTIFY",       "SCMP_ACT_TRACE",       "SCMP_ACT_TRAP"};
  features.operators = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",       "SCMP_CMP_LE",
                        "SCMP_CMP_LT", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"};
  features.archs = {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64"};
  constexpr std::pair<const char*, unsigned> kFlags[] = {
      {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
      {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
      {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
      {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1U << 5}};
  features.known_flags.emplace();
  features.supported_flags.emplace();
  for (const auto& [name, flag] : kFlags) {
    features.known_flags->emplace_back(name);
    // The last one is refused without the listener that it is about.
    const bool needs_listener = flag == 1U << 5;
    if (kernel_knows_filter_flag(needs_listener ? flag | SECCOMP_FILTER_FLAG_NEW_LISTENER : flag))
      features.supported_flags->emplace_back(name);
  }
  return features;
}

oci::LinuxFeatures linux_features(const isolation::HostFacts& host) {
  oci::LinuxFeatures features;
  features.namespaces = namespaces(host);
  features.capabilities = capabilities(host);
  features.cgroup = oci::CgroupFeatures{
      .v1 = true, .v2 = true, .systemd = true, .systemd_user = true, .rdma = true};
  features.seccomp = seccomp();
  features.apparmor = oci::Feature{true};
  features.selinux = oci::Feature{true};
  const auto names_of = [](std::span<const std::string_view> known) {
    return oci::Names(known.begin(), known.end());
  };
  features.memory_policy =
      oci::MemoryPolicyFeatures{.modes = names_of(isolation::memory_policy_modes()),
                                .flags = names_of(isolation::memory_policy_flags())};
  features.intel_rdt = oci::IntelRdtFeatures{.enabled = true, .schemata = true, .monitoring = true};
  // mount_setattr(2) with MOUNT_ATTR_IDMAP, Linux 5.12.
  const bool idmap = std::pair(host.kernel_major, host.kernel_minor) >= std::pair(5, 12);
  features.mount_extensions_idmap = oci::Feature{idmap};
  features.net_devices = oci::Feature{true};
  return features;
}

}  // namespace

oci::Features features(const isolation::HostFacts& host, std::string_view version,
                       std::string_view commit) {
  oci::Features features;
  features.oci_version_min = oci::kOldestSpecVersion;
  features.oci_version_max = oci::kSpecVersion;
  features.hooks = hooks();
  features.mount_options = mount_options();
  features.linux_ = linux_features(host);
  features.annotations = {{"org.bulkhead.runtime.commit", std::string(commit)},
                          {"org.bulkhead.runtime.version", std::string(version)},
                          {"org.bulkhead.landlock.abi", std::to_string(host.landlock_abi)}};
  if (auto criu = find_criu()) features.annotations["org.bulkhead.checkpoint.criu"] = *criu;
  // The one annotation that is read can only take rights away.
  features.potentially_unsafe_config_annotations.emplace();
  return features;
}

}  // namespace bulkhead::runtime
