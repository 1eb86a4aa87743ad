#include "isolation/capabilities/capabilities.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/text.h"
#include "isolation/capabilities/default_set.h"
#include "isolation/identity/identity.h"
#include "isolation/no_new_privileges/no_new_privileges.h"
#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

using Names = std::vector<std::string>;

oci::Spec with(oci::CapabilitySets sets, std::uint32_t uid = 0) {
  oci::Spec spec;
  oci::Process& process = spec.process.emplace();
  process.user.uid = ContainerUid(uid);
  process.capabilities = std::move(sets);
  return spec;
}

Result<Capabilities::Plan> describe(const oci::Spec& spec) {
  return Capabilities::describe({.spec = spec}, *gather_host_facts());
}

const Names kTwo{"CAP_KILL", "CAP_CHOWN"};

TEST(Capabilities, HoldAfterApply) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({kTwo, {"CAP_KILL"}, {"CAP_CHOWN"}, kTwo, {"CAP_CHOWN"}}));
  EXPECT_TRUE(plan.warnings.empty());
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto applied = Capabilities::apply(plan, child);
    if (!applied) return testing::answer_of(applied);
    return testing::answer_of(Capabilities::verify(plan, child));
  }));
}

TEST(Capabilities, HoldInAUserNamespace) {
  oci::Spec spec = with({kTwo, kTwo, {}, kTwo, {}});
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  const auto plan = *describe(spec);
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([&] {
    TestChild child;
    const auto applied = Capabilities::apply(plan, child);
    if (!applied) return testing::answer_of(applied);
    return testing::answer_of(Capabilities::verify(plan, child));
  }));
}

TEST(Capabilities, VerifyNoticesThatApplyNeverRan) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({kTwo, kTwo, {}, kTwo, {}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !Capabilities::verify(plan, child);
  }));
}

TEST(Capabilities, VerifyNoticesEachSetThatIsAnother) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({kTwo, kTwo, kTwo, kTwo, {"CAP_KILL"}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (!Capabilities::apply(plan, child) || !Capabilities::verify(plan, child)) return false;
    for (std::uint64_t CapabilityMasks::* set :
         {&CapabilityMasks::bounding, &CapabilityMasks::effective, &CapabilityMasks::inheritable,
          &CapabilityMasks::permitted, &CapabilityMasks::ambient}) {
      auto other = plan;
      other.wanted.*set ^= 1;
      if (Capabilities::verify(other, child)) return false;
    }
    return true;
  }));
}

TEST(Capabilities, FailClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  const auto plan = *describe(with({kTwo, kTwo, kTwo, kTwo, {"CAP_KILL"}}));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    testing::kernel_refuses(SYS_capset, EPERM);
    return !Capabilities::apply(plan, child);
  }));
  for (const std::uint32_t option : {std::uint32_t{PR_CAPBSET_DROP}, std::uint32_t{PR_CAP_AMBIENT}})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      testing::kernel_refuses_argument(SYS_prctl, 0, option, EPERM);
      return !Capabilities::apply(plan, child);
    })) << option;
}

TEST(Capabilities, ThatCannotBeMappedOrGrantedAreWarnedAbout) {
  HostFacts host;
  host.last_capability = 40;
  host.effective_capabilities = host.bounding_capabilities =
      all_capabilities(40) & ~std::uint64_t{1};
  const auto spec = with({{"CAP_CHOWN", "CAP_KILL", "KILL", "CAP_PERPETUAL_MOTION"},
                          {"CAP_KILL", "CAP_SETUID"},
                          {},
                          {"cap_kill"},
                          {"CAP_KILL"}});
  const auto plan = *Capabilities::describe({.spec = spec}, host);
  EXPECT_EQ(plan.wanted.bounding, capability_bit(5));
  EXPECT_EQ(plan.wanted.permitted, capability_bit(5));
  EXPECT_EQ(plan.wanted.effective, capability_bit(5));
  EXPECT_EQ(plan.wanted.ambient, 0U);
  EXPECT_EQ(plan.warnings.size(), 5U);  // KILL, motion, CHOWN not held, SETUID, ambient KILL
}

TEST(Capabilities, AreNoneWhenTheSpecIsSilent) {
  oci::Spec spec;
  spec.process.emplace();
  EXPECT_EQ(describe(spec)->wanted, CapabilityMasks{});
}

TEST(CapabilityNames, AreThoseOfTheKernel) {
  EXPECT_EQ(capability_number("CAP_CHOWN"), 0);
  EXPECT_EQ(capability_number("CAP_SYS_ADMIN"), kCapSysAdmin);
  EXPECT_EQ(capability_number("CAP_SETFCAP"), kCapSetFcap);
  EXPECT_EQ(capability_number("CAP_AUDIT_READ"), 37);
  EXPECT_EQ(capability_number("cap_checkpoint_restore"), 40);
  EXPECT_EQ(capability_number("CHOWN"), std::nullopt);
  EXPECT_EQ(capability_number_of_user("net_admin"), 12);
  EXPECT_EQ(capability_number_of_user("ALL"), std::nullopt);
  EXPECT_EQ(capability_set_in_words(capability_bit(41) | 1), "CAP_CHOWN CAP_41");
}

TEST(DefaultCapabilities, LackTheFiveThatHostileProgramsUse) {
  for (const char* name : {"CAP_NET_RAW", "CAP_MKNOD", "CAP_SYS_CHROOT", "CAP_SETFCAP",
                           "CAP_AUDIT_WRITE", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"})
    EXPECT_EQ(default_capability_set() & capability_bit(*capability_number(name)), 0U) << name;
  EXPECT_EQ(capability_names(default_capability_set()).size(), 9U);
}

// --- the sets of the program itself --------------------------------------------------------------

enum class Filter { kNone, kSeccomp };
enum class Privileges { kAsTheyAre, kNoNew };

struct Case {
  std::uint32_t uid;
  Privileges privileges;
  Filter filter;
  oci::CapabilitySets sets;
};

// What a program that is executed after the layers reads of itself, as the kernel's five lines.
std::string sets_after_exec(const Case& wanted, CapabilityMasks& expected) {
  oci::Spec spec = with(wanted.sets, wanted.uid);
  spec.process->no_new_privileges = wanted.privileges == Privileges::kNoNew;
  if (wanted.filter == Filter::kSeccomp)
    spec.linux_.seccomp.emplace().default_action = "SCMP_ACT_ALLOW";
  const Request request{.spec = spec};
  const HostFacts host = *gather_host_facts();
  const auto identity = *Identity::describe(request, host);
  const auto capabilities = *Capabilities::describe(request, host);
  const auto privileges = *NoNewPrivileges::describe(request, host);
  expected = Capabilities::after_exec(capabilities);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "pipe";
  const pid_t process = ::fork();
  if (process == 0) {
    TestChild child;
    if (!testing::answer_of(Identity::apply(identity, child)) ||
        !testing::answer_of(Capabilities::apply(capabilities, child)) ||
        !testing::answer_of(NoNewPrivileges::apply(privileges, child)) ||
        !testing::answer_of(Capabilities::verify(capabilities, child)))
      ::_exit(1);
    if (wanted.filter == Filter::kSeccomp) {
      // As the seccomp layer does it: without setting no-new-privileges by itself.
      struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
      struct sock_fprog program = {1, &allow};
      if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &program) != 0)
        testing::could_not_prepare("seccomp");
    }
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl("/bin/grep", "grep", "^Cap", "/proc/self/status", nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  auto text = read_fd(ends[0]);
  ::close(ends[0]);
  if (!testing::said_yes(process) || !text) return "failed";
  return *text;
}

std::string in_lines(const CapabilityMasks& masks) {
  std::string text;
  const auto line = [&](const char* name, std::uint64_t mask) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%s:\t%016lx\n", name, static_cast<unsigned long>(mask));
    text += digits;
  };
  line("CapInh", masks.inheritable);
  line("CapPrm", masks.permitted);
  line("CapEff", masks.effective);
  line("CapBnd", masks.bounding);
  line("CapAmb", masks.ambient);
  return text;
}

TEST(Capabilities, AreExactlyAsAskedForAfterExecve) {
  SKIP_UNLESS_ROOT();
  const Names admin{"CAP_SYS_ADMIN", "CAP_KILL"};
  const std::vector<oci::CapabilitySets> all{
      {kTwo, kTwo, {}, kTwo, {}},      // Docker's way
      {kTwo, kTwo, kTwo, kTwo, kTwo},  // Podman's, for other users than root
      {kTwo, {}, {"CAP_KILL"}, kTwo, {"CAP_KILL"}},
      {{}, {}, {}, {}, {}},  // --cap-drop=ALL
      {admin, admin, {}, admin, {}},
  };
  for (const std::uint32_t uid : {0U, 1000U})
    for (const Privileges privileges : {Privileges::kAsTheyAre, Privileges::kNoNew})
      for (const Filter filter : {Filter::kNone, Filter::kSeccomp})
        for (std::size_t i = 0; i < all.size(); ++i) {
          CapabilityMasks expected;
          const std::string lines = sets_after_exec({uid, privileges, filter, all[i]}, expected);
          EXPECT_EQ(lines, in_lines(expected))
              << "uid " << uid << ", no new privileges " << (privileges == Privileges::kNoNew)
              << ", seccomp " << (filter == Filter::kSeccomp) << ", sets " << i;
        }
}

TEST(Capabilities, KeepCapSysAdminForTheFiltersAndOnlyUntilExecve) {
  oci::Spec spec = with({{}, {}, {}, {}, {}}, 1000);
  HostFacts host;
  host.last_capability = 40;
  host.effective_capabilities = host.bounding_capabilities = all_capabilities(40);
  EXPECT_EQ(Capabilities::describe({.spec = spec}, host)->until_exec, 0U);
  spec.linux_.seccomp.emplace();
  const auto plan = *Capabilities::describe({.spec = spec}, host);
  EXPECT_EQ(plan.until_exec, capability_bit(kCapSysAdmin));
  EXPECT_EQ(Capabilities::after_exec(plan), CapabilityMasks{});
  spec.process->no_new_privileges = true;
  EXPECT_EQ(Capabilities::describe({.spec = spec}, host)->until_exec, 0U);
}

TEST(Capabilities, KeepCapSysResourceForTheLimitsAndOnlyUntilExecve) {
  oci::Spec spec = with({{}, {}, {}, {}, {}}, 1000);
  HostFacts host;
  host.last_capability = 40;
  host.effective_capabilities = host.bounding_capabilities = all_capabilities(40);
  host.namespaces.fill(1);
  spec.process->rlimits = {{"RLIMIT_NOFILE", 1, 1}};
  const auto plan = *Capabilities::describe({.spec = spec}, host);
  EXPECT_EQ(plan.until_exec, capability_bit(kCapSysResource));
  EXPECT_EQ(Capabilities::after_exec(plan), CapabilityMasks{});
  // In a user namespace it would raise nothing.
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  EXPECT_EQ(Capabilities::describe({.spec = spec}, host)->until_exec, 0U);
}

}  // namespace
}  // namespace bulkhead::isolation
