#include "oci/features.h"

#include <gtest/gtest.h>

#include "oci/testing.h"

namespace bulkhead::oci {
namespace {

TEST(Features, TellsUnknownFromEmpty) {
  Features features;
  features.oci_version_min = "1.0.0";
  features.oci_version_max = "1.3.0";
  EXPECT_EQ(encode(features, json::Style::kCompact),
            R"({"ociVersionMin":"1.0.0","ociVersionMax":"1.3.0"})");
  features.hooks.emplace();
  features.linux_.emplace().seccomp.emplace().enabled = false;
  EXPECT_EQ(encode(features, json::Style::kCompact),
            R"({"ociVersionMin":"1.0.0","ociVersionMax":"1.3.0","hooks":[],)"
            R"("linux":{"seccomp":{"enabled":false}}})");
}

TEST(Features, AreWhatTheGoldenFileSays) {
  Features features;
  features.oci_version_min = "1.0.0";
  features.oci_version_max = "1.3.0";
  features.hooks = Names{"prestart"};
  features.mount_options = Names{"ro"};
  features.annotations = {{"a", "b"}};
  features.potentially_unsafe_config_annotations = Names{"x."};
  LinuxFeatures& config = features.linux_.emplace();
  config.namespaces = Names{"pid"};
  config.capabilities = Names{"CAP_KILL"};
  config.cgroup =
      CgroupFeatures{.v1 = true, .v2 = true, .systemd = false, .systemd_user = false, .rdma = true};
  config.seccomp = SeccompFeatures{.enabled = true,
                                   .actions = Names{"SCMP_ACT_ALLOW"},
                                   .operators = Names{"SCMP_CMP_EQ"},
                                   .archs = Names{"SCMP_ARCH_X86_64"},
                                   .known_flags = Names{"SECCOMP_FILTER_FLAG_LOG"},
                                   .supported_flags = Names{}};
  config.apparmor = Feature{true};
  config.selinux = Feature{true};
  config.memory_policy =
      MemoryPolicyFeatures{.modes = Names{"MPOL_BIND"}, .flags = Names{"MPOL_F_STATIC_NODES"}};
  config.intel_rdt = IntelRdtFeatures{.enabled = false, .schemata = false, .monitoring = false};
  config.mount_extensions_idmap = Feature{true};
  config.net_devices = Feature{false};
  EXPECT_EQ(encode(features) + "\n",
            read_test_data(test_data("runtime-spec/golden/features.json")));
}

}  // namespace
}  // namespace bulkhead::oci
