#include "oci/default_spec.h"

#include <gtest/gtest.h>

#include "oci/decode.h"
#include "oci/encode.h"
#include "oci/testing.h"
#include "oci/validate.h"

namespace bulkhead::oci {
namespace {

void expect_sound(const Spec& spec) {
  const auto valid = validate(spec);
  EXPECT_TRUE(valid.has_value()) << valid.error().message();
  const std::string text = encode(spec, json::Style::kIndented);
  const auto back = decode_spec(text);
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(encode(*back, json::Style::kIndented), text);
  EXPECT_TRUE(back->unknown_fields.empty());
}

bool has_namespace(const Spec& spec, NamespaceType type) {
  for (const Namespace& entry : spec.linux_.namespaces) {
    if (entry.type == type) return true;
  }
  return false;
}

TEST(DefaultSpec, IsValidAndIsolated) {
  const Spec spec = default_spec();
  expect_sound(spec);
  EXPECT_TRUE(spec.root->readonly);
  EXPECT_TRUE(spec.process->no_new_privileges);
  EXPECT_TRUE(spec.process->capabilities->inheritable.empty());
  EXPECT_TRUE(spec.process->capabilities->ambient.empty());
  EXPECT_FALSE(spec.linux_.resources->devices.at(0).allow);
  for (const auto type : {NamespaceType::kPid, NamespaceType::kNetwork, NamespaceType::kMount,
                          NamespaceType::kIpc, NamespaceType::kUts, NamespaceType::kCgroup}) {
    EXPECT_TRUE(has_namespace(spec, type));
  }
}

TEST(DefaultSpec, IsWhatTheGoldenFilesSay) {
  EXPECT_EQ(encode(default_spec(), json::Style::kIndented) + "\n",
            read_test_data(test_data("runtime-spec/golden/default.json")));
  EXPECT_EQ(encode(default_rootless_spec(1000, 1000), json::Style::kIndented) + "\n",
            read_test_data(test_data("runtime-spec/golden/rootless.json")));
}

TEST(DefaultSpec, NeedsNoPrivilegeWhenRootless) {
  const Spec spec = default_rootless_spec(1000, 1001);
  expect_sound(spec);
  EXPECT_TRUE(has_namespace(spec, NamespaceType::kUser));
  EXPECT_FALSE(has_namespace(spec, NamespaceType::kNetwork));
  EXPECT_EQ(spec.linux_.uid_mappings.at(0), (IdMapping{0, 1000, 1}));
  EXPECT_EQ(spec.linux_.gid_mappings.at(0), (IdMapping{0, 1001, 1}));
  EXPECT_FALSE(spec.linux_.resources.has_value());
  for (const Mount& mount : spec.mounts) {
    for (const std::string& option : mount.options)
      EXPECT_FALSE(option.starts_with("gid=")) << mount.destination;
  }
}

}  // namespace
}  // namespace bulkhead::oci
