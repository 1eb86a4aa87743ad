#include "oci/features.h"

#include "oci/fields.h"
#include "oci/object_writer.h"

namespace bulkhead::oci {

void fields(auto& visit, Any<CgroupFeatures> auto& cgroup) {
  visit.optional("v1", cgroup.v1);
  visit.optional("v2", cgroup.v2);
  visit.optional("systemd", cgroup.systemd);
  visit.optional("systemdUser", cgroup.systemd_user);
  visit.optional("rdma", cgroup.rdma);
}

void fields(auto& visit, Any<SeccompFeatures> auto& seccomp) {
  visit.optional("enabled", seccomp.enabled);
  visit.optional("actions", seccomp.actions);
  visit.optional("operators", seccomp.operators);
  visit.optional("archs", seccomp.archs);
  visit.optional("knownFlags", seccomp.known_flags);
  visit.optional("supportedFlags", seccomp.supported_flags);
}

void fields(auto& visit, Any<IntelRdtFeatures> auto& rdt) {
  visit.optional("enabled", rdt.enabled);
  visit.optional("schemata", rdt.schemata);
  visit.optional("monitoring", rdt.monitoring);
}

void fields(auto& visit, Any<MemoryPolicyFeatures> auto& policy) {
  visit.optional("modes", policy.modes);
  visit.optional("flags", policy.flags);
}

void fields(auto& visit, Any<Feature> auto& feature) { visit.optional("enabled", feature.enabled); }

void fields(auto& visit, Any<LinuxFeatures> auto& features) {
  visit.optional("namespaces", features.namespaces);
  visit.optional("capabilities", features.capabilities);
  visit.optional("cgroup", features.cgroup);
  visit.optional("seccomp", features.seccomp);
  visit.optional("apparmor", features.apparmor);
  visit.optional("selinux", features.selinux);
  visit.optional("memoryPolicy", features.memory_policy);
  visit.optional("intelRdt", features.intel_rdt);
  visit.wrapped("mountExtensions", "idmap", features.mount_extensions_idmap);
  visit.optional("netDevices", features.net_devices);
}

void fields(auto& visit, Any<Features> auto& features) {
  visit.required("ociVersionMin", features.oci_version_min);
  visit.required("ociVersionMax", features.oci_version_max);
  visit.optional("hooks", features.hooks);
  visit.optional("mountOptions", features.mount_options);
  visit.optional("linux", features.linux_);
  visit.text("annotations", features.annotations);
  visit.optional("potentiallyUnsafeConfigAnnotations",
                 features.potentially_unsafe_config_annotations);
}

std::string encode(const Features& features, json::Style style) {
  std::string out;
  json::Writer writer(out, style);
  write_value(writer, features);
  return out;
}

}  // namespace bulkhead::oci
