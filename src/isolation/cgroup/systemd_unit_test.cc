#include "isolation/cgroup/systemd_unit.h"

#include <gtest/gtest.h>

namespace bulkhead::isolation::cgroup {
namespace {

const DbusValue* value_of(const std::vector<DbusProperty>& all, std::string_view name) {
  for (const DbusProperty& property : all)
    if (property.name == name) return &property.value;
  return nullptr;
}

template <class T>
testing::AssertionResult holds(const std::vector<DbusProperty>& all, std::string_view name,
                               T value) {
  const DbusValue* found = value_of(all, name);
  if (found == nullptr) return testing::AssertionFailure() << "no " << name;
  if (!(*found == DbusValue{value})) return testing::AssertionFailure() << name << " differs";
  return testing::AssertionSuccess();
}

TEST(SystemdUnit, IsNamedByThePartsOfThePath) {
  const auto unit = systemd_unit("machine.slice:libpod:abc", "id", "system.slice");
  ASSERT_TRUE(unit);
  EXPECT_EQ(unit->name, "libpod-abc.scope");
  EXPECT_EQ(unit->slice, "machine.slice");
  EXPECT_EQ(unit->path, "/machine.slice/libpod-abc.scope");
}

TEST(SystemdUnit, HasDefaultsForWhatIsAbsent) {
  EXPECT_EQ(systemd_unit("", "id", "user.slice")->path, "/user.slice/bulkhead-id.scope");
  EXPECT_EQ(systemd_unit(":docker:abc", "id", "system.slice")->path,
            "/system.slice/docker-abc.scope");
  EXPECT_EQ(systemd_unit("a.slice::abc", "id", "system.slice")->name, "abc.scope");
  EXPECT_EQ(systemd_unit("-.slice:p:abc", "id", "system.slice")->path, "/p-abc.scope");
}

TEST(SystemdUnit, LiesInTheSlicesThatItsSliceNames) {
  EXPECT_EQ(slice_path("a-b-c.slice").value(), "/a.slice/a-b.slice/a-b-c.slice");
  EXPECT_EQ(slice_path("-.slice").value(), "");
  for (const char* bad : {"", "a", ".slice", "-a.slice", "a--b.slice", "a-.slice", "a/b.slice",
                          "../x.slice", "a b.slice"})
    EXPECT_FALSE(slice_path(bad)) << bad;
}

TEST(SystemdUnit, RefusesOtherFormsOfThePath) {
  for (const char* bad : {"/a/b", "a:b", "a.slice:b:c:d", "a.slice:b:", "a.slice:b:c.slice",
                          "a.slice:b/c:d", "a.slice:b:c d", "a.slice:b:c\nd"})
    EXPECT_FALSE(systemd_unit(bad, "id", "system.slice")) << bad;
  EXPECT_FALSE(systemd_unit("a.slice:b:" + std::string(300, 'x'), "id", "system.slice"));
}

TEST(SystemdLimits, TakeTheNamesOfTheVersion) {
  oci::Resources resources;
  resources.memory =
      oci::MemoryLimits{.limit = 64 << 20, .reservation = 32 << 20, .swap = 96 << 20};
  resources.cpu = oci::CpuLimits{.shares = 1024, .quota = 50'000, .period = 100'000, .cpus = "0,9"};
  resources.pids_limit = 20;
  resources.block_io = oci::BlockIoLimits{.weight = 500};
  const auto v2 = limit_properties(resources, UnitVersion::kV2);
  ASSERT_TRUE(v2);
  EXPECT_TRUE(holds(*v2, "MemoryMax", std::uint64_t{64 << 20}));
  EXPECT_TRUE(holds(*v2, "MemoryLow", std::uint64_t{32 << 20}));
  EXPECT_TRUE(holds(*v2, "MemorySwapMax", std::uint64_t{32 << 20}));
  EXPECT_TRUE(holds(*v2, "CPUWeight", std::uint64_t{100}));
  EXPECT_TRUE(holds(*v2, "CPUQuotaPerSecUSec", std::uint64_t{500'000}));
  EXPECT_TRUE(holds(*v2, "TasksMax", std::uint64_t{20}));
  EXPECT_TRUE(holds(*v2, "IOWeight", std::uint64_t{500}));
  EXPECT_TRUE(holds(*v2, "AllowedCPUs", std::vector<std::uint8_t>{1, 2}));
  const auto v1 = limit_properties(resources, UnitVersion::kV1);
  ASSERT_TRUE(v1);
  EXPECT_TRUE(holds(*v1, "MemoryLimit", std::uint64_t{64 << 20}));
  EXPECT_TRUE(holds(*v1, "CPUShares", std::uint64_t{1024}));
  EXPECT_TRUE(holds(*v1, "BlockIOWeight", std::uint64_t{500}));
  EXPECT_EQ(value_of(*v1, "MemoryMax"), nullptr);
  EXPECT_EQ(value_of(*v1, "AllowedCPUs"), nullptr);
}

TEST(SystemdLimits, SayInfinityForNone) {
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = -1, .swap = -1};
  resources.cpu = oci::CpuLimits{.quota = -1};
  resources.pids_limit = -1;
  const auto all = limit_properties(resources, UnitVersion::kV2);
  ASSERT_TRUE(all);
  for (const char* name : {"MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax"})
    EXPECT_TRUE(holds(*all, name, std::uint64_t{UINT64_MAX})) << name;
}

TEST(SystemdLimits, RoundTheQuotaUpToWholePercents) {
  oci::Resources resources;
  resources.cpu = oci::CpuLimits{.quota = 33'333, .period = 100'000};
  EXPECT_TRUE(holds(*limit_properties(resources, UnitVersion::kV2), "CPUQuotaPerSecUSec",
                    std::uint64_t{340'000}));
}

TEST(SystemdDevices, AreNamedOneByOneOrByClass) {
  const std::string classes = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n";
  std::vector<oci::DeviceRule> rules = {{.allow = false, .type = "a", .access = "rwm"},
                                        {.allow = true, .type = "b", .major = 8, .access = "r"}};
  const auto policy = device_policy(rules, "/linux/resources/devices");
  ASSERT_TRUE(policy);
  const auto all = device_properties(*policy, classes);
  EXPECT_TRUE(holds(all, "DevicePolicy", std::string("strict")));
  const auto* allow = value_of(all, "DeviceAllow");
  ASSERT_NE(allow, nullptr);
  const auto& pairs = std::get<DbusValue::Pairs>(allow->value);
  const auto has = [&](const char* name, const char* access) {
    return std::find(pairs.begin(), pairs.end(),
                     std::pair<std::string, std::string>(name, access)) != pairs.end();
  };
  EXPECT_TRUE(has("/dev/char/1:3", "rwm"));
  EXPECT_TRUE(has("char-pts", "rwm"));
  EXPECT_TRUE(has("block-sd", "rm")) << [&] {  // every node may be made
    std::string text;
    for (const auto& [name, access] : pairs) text += name + " " + access + ", ";
    return text;
  }();
}

TEST(SystemdDevices, AreLeftToUsWhereSystemdCannotSayThem) {
  std::vector<oci::DeviceRule> all_allowed = {{.allow = true, .type = "a", .access = "rwm"}};
  EXPECT_TRUE(device_properties(*device_policy(all_allowed, ""), "").empty());
}

TEST(SystemdAnnotations, AreGvariantText) {
  const oci::Annotations annotations = {
      {"org.systemd.property.Description", "'a \\'name\\''"},
      {"org.systemd.property.SendSIGHUP", "true"},
      {"org.systemd.property.TimeoutStopSec", "uint64 90"},
      {"org.systemd.property.RuntimeMaxSec", "5"},
      {"org.systemd.property.CPUWeight", "@t 7"},
      {"org.systemd.property.After", "['a.service', 'b.service']"},
      {"other", "x"}};
  const auto all = annotated_properties(annotations);
  ASSERT_TRUE(all) << all.error().message();
  EXPECT_EQ(all->size(), 6U);
  EXPECT_TRUE(holds(*all, "Description", std::string("a 'name'")));
  EXPECT_TRUE(holds(*all, "SendSIGHUP", true));
  EXPECT_TRUE(holds(*all, "TimeoutStopUSec", std::uint64_t{90'000'000}));
  EXPECT_TRUE(holds(*all, "RuntimeMaxUSec", std::uint64_t{5'000'000}));
  EXPECT_TRUE(holds(*all, "CPUWeight", std::uint64_t{7}));
  EXPECT_TRUE(holds(*all, "After", std::vector<std::string>{"a.service", "b.service"}));
  for (const char* bad : {"", "abc", "'open", "uint64 x", "['a'", "['a' 'b']", "'a' b", "-"})
    EXPECT_FALSE(annotated_properties({{"org.systemd.property.X", bad}})) << bad;
  EXPECT_FALSE(annotated_properties({{"org.systemd.property.TimeoutStopSec", "'x'"}}));
  EXPECT_FALSE(annotated_properties({{"org.systemd.property.TimeoutStopSec", "-1"}}));
  EXPECT_FALSE(annotated_properties({{"org.systemd.property.", "true"}}));
}

TEST(CpuBits, AreLittleEndian) {
  EXPECT_EQ(*cpu_bits("0-3,7,16", "x"), (std::vector<std::uint8_t>{0x8F, 0, 1}));
  for (const char* bad : {"", "a", "3-1", "1-", "-1", "9999"})
    EXPECT_FALSE(cpu_bits(bad, "x")) << bad;
}

}  // namespace
}  // namespace bulkhead::isolation::cgroup
