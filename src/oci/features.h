// The features document of the runtime-spec: what this build can do, whatever the host offers.
// An absent field says "not known", an empty one "nothing of the kind".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "json/writer.h"
#include "oci/spec.h"

namespace bulkhead::oci {

using Names = std::vector<std::string>;

struct CgroupFeatures {
  std::optional<bool> v1;
  std::optional<bool> v2;
  std::optional<bool> systemd;
  std::optional<bool> systemd_user;
  std::optional<bool> rdma;
};

struct SeccompFeatures {
  std::optional<bool> enabled;
  std::optional<Names> actions;
  std::optional<Names> operators;
  std::optional<Names> archs;
  std::optional<Names> known_flags;
  std::optional<Names> supported_flags;  // by the running kernel
};

struct IntelRdtFeatures {
  std::optional<bool> enabled;
  std::optional<bool> schemata;
  std::optional<bool> monitoring;
};

// {"enabled": …}
struct Feature {
  std::optional<bool> enabled;
};

struct MemoryPolicyFeatures {
  std::optional<Names> modes;
  std::optional<Names> flags;
};

struct LinuxFeatures {
  std::optional<Names> namespaces;
  std::optional<Names> capabilities;
  std::optional<CgroupFeatures> cgroup;
  std::optional<SeccompFeatures> seccomp;
  std::optional<Feature> apparmor;
  std::optional<Feature> selinux;
  std::optional<MemoryPolicyFeatures> memory_policy;
  std::optional<IntelRdtFeatures> intel_rdt;
  std::optional<Feature> mount_extensions_idmap;  // mountExtensions.idmap
  std::optional<Feature> net_devices;
};

struct Features {
  std::string oci_version_min;
  std::string oci_version_max;
  std::optional<Names> hooks;
  std::optional<Names> mount_options;
  std::optional<LinuxFeatures> linux_;
  Annotations annotations;
  std::optional<Names> potentially_unsafe_config_annotations;
};

std::string encode(const Features& features, json::Style style = json::Style::kIndented);

}  // namespace bulkhead::oci
