#include "isolation/cgroup/device_policy.h"

#include <gtest/gtest.h>

#include <random>

#include "isolation/cgroup/device_interpreter.h"

namespace bulkhead::isolation::cgroup {
namespace {

using oci::DeviceRule;

const DeviceRule kDenyAll{false, "a", {}, {}, "rwm"};
const DeviceRule kAllowAll{true, "a", {}, {}, "rwm"};

DevicePolicy policy_of(const std::vector<DeviceRule>& rules) {
  auto policy = device_policy(rules, "/d");
  EXPECT_TRUE(policy) << policy.error().message();
  return policy ? *policy : DevicePolicy{};
}

std::string list_of(const DevicePolicy& policy) {
  const auto list = to_v1_list(policy);
  if (!list) return "inexpressible";
  std::string text = list->allow_by_default ? "all but" : "only";
  for (const DeviceSet& exception : list->exceptions)
    text.append(" [").append(exception.text()).append("]");
  return text;
}

DeviceSet one(char type, std::uint32_t major, std::uint32_t minor, std::uint8_t access) {
  return {type == 'b' ? DeviceType::kBlock : DeviceType::kCharacter, major, minor, access};
}

constexpr const char* kDefaults =
    "only [c *:* m] [b *:* m] [c 1:3 rwm] [c 1:5 rwm] [c 1:7 rwm] [c 1:8 rwm] [c 1:9 rwm] [c 5:0 "
    "rwm] "
    "[c 5:1 rwm] [c 5:2 rwm] [c 136:* rwm]";

TEST(DevicePolicy, NoRulesMeanTheDefaultDevicesAlone) {
  EXPECT_EQ(list_of(policy_of({})), kDefaults);
  EXPECT_EQ(list_of(policy_of({kDenyAll})), kDefaults);
  EXPECT_EQ(list_of(policy_of({kAllowAll, kDenyAll})), kDefaults);
}

TEST(DevicePolicy, AllowingAllNeedsNoExceptions) {
  EXPECT_EQ(list_of(policy_of({kDenyAll, kAllowAll})), "all but");
}

TEST(DevicePolicy, RulesThatRepeatADefaultCostNothing) {
  EXPECT_EQ(list_of(policy_of({kDenyAll, {true, "c", 10, 229, "rwm"}})),
            std::string("only [c 10:229 rwm]") + (kDefaults + 4));
  const std::string same = list_of(policy_of({kDenyAll, {true, "c", 1, 3, "rwm"}}));
  EXPECT_EQ(same.size(), std::string(kDefaults).size());
}

TEST(DevicePolicy, MinusOneIsEveryNumber) {
  const DevicePolicy policy = policy_of({kDenyAll, {true, "b", 8, -1, "r"}});
  EXPECT_TRUE(policy.allows(one('b', 8, 77, kRead)));
  EXPECT_FALSE(policy.allows(one('b', 8, 77, kRead | kWrite)));
  EXPECT_FALSE(policy.allows(one('c', 8, 77, kRead)));
}

TEST(DevicePolicy, AllButIsExpressible) {
  EXPECT_EQ(list_of(policy_of({kAllowAll, {false, "b", 8, {}, "w"}})), "all but [b 8:* w]");
  // To make a node is a default of every container.
  EXPECT_EQ(list_of(policy_of({kAllowAll, {false, "a", 10, 200, "rwm"}})),
            "all but [c 10:200 rw] [b 10:200 rw]");
}

TEST(DevicePolicy, CarvingOutOfAWiderRuleIsNotExpressibleInVersionOne) {
  const DevicePolicy policy =
      policy_of({kDenyAll, {true, "b", 8, {}, "rw"}, {false, "b", 8, 1, "w"}});
  EXPECT_EQ(list_of(policy), "inexpressible");
  EXPECT_TRUE(policy.allows(one('b', 8, 0, kRead | kWrite)));
  EXPECT_TRUE(policy.allows(one('b', 8, 1, kRead)));
  EXPECT_FALSE(policy.allows(one('b', 8, 1, kWrite)));
}

TEST(DevicePolicy, NonsenseIsRefusedByItsPlace) {
  const auto refused = [](DeviceRule rule) {
    const auto result = device_policy(std::vector{kDenyAll, rule}, "/linux/resources/devices");
    return !result && result.error().message().starts_with("/linux/resources/devices/1/");
  };
  EXPECT_TRUE(refused({true, "x", {}, {}, "r"}));
  EXPECT_TRUE(refused({true, "c", 1, 3, "rwx"}));
  EXPECT_TRUE(refused({true, "c", -2, 3, "r"}));
  EXPECT_TRUE(refused({true, "c", 1, 1LL << 40, "r"}));
}

TEST(DevicePolicy, TheVersionOneListMeansTheSameAsThePolicy) {
  std::mt19937 random(42);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  int expressible = 0;
  for (int round = 0; round < 5000; ++round) {
    DevicePolicy policy;
    for (unsigned i = pick(6); i > 0; --i) {
      DeviceSet devices;
      devices.type = static_cast<DeviceType>(pick(3));
      if (pick(3) != 0) devices.major = pick(2);
      if (pick(3) != 0) devices.minor = pick(2);
      devices.access = static_cast<std::uint8_t>(1 + pick(7));
      if (pick(6) == 0) devices = {};
      policy.rules.push_back({pick(2) == 0, devices});
    }
    const auto list = to_v1_list(policy);
    if (!list) continue;
    ++expressible;
    for (const char type : {'b', 'c'})
      for (std::uint32_t major = 0; major < 3; ++major)
        for (std::uint32_t minor = 0; minor < 3; ++minor)
          for (std::uint8_t access = 1; access < 8; ++access) {
            const DeviceSet request = one(type, major, minor, access);
            ASSERT_EQ(v1_answer(*list, request), policy.allows(request))
                << list_of(policy) << " " << request.text();
          }
  }
  EXPECT_GT(expressible, 1000);
}

}  // namespace
}  // namespace bulkhead::isolation::cgroup
