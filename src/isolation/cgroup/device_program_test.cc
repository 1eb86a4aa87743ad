#include "isolation/cgroup/device_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "isolation/cgroup/device_interpreter.h"
#include "isolation/cgroup/discover.h"
#include "isolation/testing.h"

namespace bulkhead::isolation::cgroup {
namespace {

DeviceSet one(DeviceType type, std::uint32_t major, std::uint32_t minor, std::uint8_t access) {
  return {type, major, minor, access};
}

TEST(DeviceProgram, DecidesAsThePolicyDoes) {
  std::mt19937 random(7);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  for (int round = 0; round < 2000; ++round) {
    DevicePolicy policy;
    for (unsigned i = pick(8); i > 0; --i) {
      DeviceSet devices;
      devices.type = static_cast<DeviceType>(pick(3));
      if (pick(3) != 0) devices.major = pick(2);
      if (pick(3) != 0) devices.minor = pick(2);
      devices.access = static_cast<std::uint8_t>(1 + pick(7));
      policy.rules.push_back({pick(2) == 0, devices});
    }
    const std::vector<bpf_insn> program = device_program(policy);
    for (const DeviceType type : {DeviceType::kBlock, DeviceType::kCharacter})
      for (std::uint32_t major = 0; major < 3; ++major)
        for (std::uint32_t minor = 0; minor < 3; ++minor)
          for (std::uint8_t access = 1; access < 8; ++access) {
            const DeviceSet request = one(type, major, minor, access);
            ASSERT_EQ(interpret(program, request), policy.allows(request))
                << "round " << round << " " << request.text();
          }
  }
}

TEST(DeviceProgram, TheRulesOfEveryContainerTakeFewInstructions) {
  const auto policy = device_policy(std::vector<oci::DeviceRule>{{false, "a", {}, {}, "rwm"}}, "");
  ASSERT_TRUE(policy);
  EXPECT_LE(device_program(*policy).size(), 64U);
  const auto open = device_policy(std::vector<oci::DeviceRule>{{true, "a", {}, {}, "rwm"}}, "");
  ASSERT_TRUE(open);
  EXPECT_LE(device_program(*open).size(), 8U);
}

// --- on this kernel ------------------------------------------------------------------------------

// A v2 group of this test's own, which goes with it.
struct TestGroup {
  std::string path;
  TestGroup() {
    const auto hierarchies = discover_cgroup_hierarchies();
    if (!hierarchies) return;
    for (const CgroupHierarchy& one : *hierarchies)
      if (one.v2) path = one.mount_point + "/bulkhead-test-devices-" + std::to_string(::getpid());
    if (!path.empty() && ::mkdir(path.c_str(), 0755) != 0) path.clear();
  }
  ~TestGroup() {
    if (!path.empty()) ::rmdir(path.c_str());
  }
  bool attach(const std::vector<oci::DeviceRule>& rules) const {
    const auto policy = device_policy(rules, "");
    const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto attached = attach_device_program(directory.get(), device_program(*policy));
    if (!attached)
      ADD_FAILURE() << attached.error().call << ": " << errno_text(attached.error().error);
    return attached.has_value();
  }
  // Whether a process in the group can open the device.
  bool can_open(const char* device, int flags) const {
    return testing::in_child([&] {
      if (!write_file_at(AT_FDCWD, (path + "/cgroup.procs").c_str(), "0"))
        testing::could_not_prepare("joining");
      const Fd file(::open(device, flags | O_CLOEXEC));
      return static_cast<bool>(file);
    });
  }
};

const oci::DeviceRule kDenyAll{false, "a", {}, {}, "rwm"};

TEST(DeviceProgram, TheKernelEnforcesIt) {
  SKIP_UNLESS_ROOT();
  const TestGroup group;
  if (group.path.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
  // /dev/kmsg (1:11) is no default device.
  ASSERT_TRUE(group.can_open("/dev/kmsg", O_RDONLY)) << "positive control: without a program";
  ASSERT_TRUE(group.attach({kDenyAll}));
  EXPECT_FALSE(group.can_open("/dev/kmsg", O_RDONLY));
  EXPECT_TRUE(group.can_open("/dev/null", O_RDWR));
  // A second attach replaces the first: were both there, both would have to agree.
  ASSERT_TRUE(group.attach({kDenyAll, {true, "c", 1, 11, "r"}}));
  EXPECT_TRUE(group.can_open("/dev/kmsg", O_RDONLY));
  EXPECT_FALSE(group.can_open("/dev/kmsg", O_RDWR));
  ASSERT_TRUE(group.attach({kDenyAll}));
  EXPECT_FALSE(group.can_open("/dev/kmsg", O_RDONLY));
}

TEST(DeviceProgram, AKernelThatRefusesIsAnError) {
  SKIP_UNLESS_ROOT();
  const TestGroup group;
  if (group.path.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy is mounted";
  EXPECT_TRUE(testing::in_child([&] {
    const Fd directory(::open(group.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    testing::kernel_refuses(SYS_bpf, EPERM);
    return !attach_device_program(directory.get(), device_program(DevicePolicy{}));
  }));
}

}  // namespace
}  // namespace bulkhead::isolation::cgroup
