#include "runtime/restored_check.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using oci::NamespaceType;

oci::Spec confined() {
  oci::Spec spec;
  spec.process.emplace().no_new_privileges = true;
  spec.process->capabilities.emplace();
  spec.process->capabilities->bounding = {"CAP_KILL", "CAP_CHOWN"};
  spec.process->capabilities->permitted = {"CAP_KILL"};
  spec.linux_.seccomp.emplace();
  return spec;
}

constexpr std::string_view kGood =
    "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\n"
    "CapBnd:\t0000000000000021\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

std::string with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  text.replace(text.find(from), from.size(), to);
  return text;
}

void refused(const Result<void>& result, std::string_view words) {
  ASSERT_FALSE(result) << words;
  EXPECT_NE(result.error().message().find(words), std::string::npos) << result.error().message();
}

TEST(RestoredCheck, AProcessAsItWasIsAccepted) {
  EXPECT_TRUE(check_restored_status(confined(), kGood));
  // It may have given up what it had.
  EXPECT_TRUE(check_restored_status(confined(), with("CapBnd:\t0000000000000021", "CapBnd:\t0")));
}

TEST(RestoredCheck, AProcessThatCanDoMoreIsRefused) {
  refused(check_restored_status(confined(), with("NoNewPrivs:\t1", "NoNewPrivs:\t0")),
          "no-new-privileges");
  refused(check_restored_status(confined(), with("Seccomp:\t2", "Seccomp:\t0")), "seccomp");
  refused(check_restored_status(confined(), with("Seccomp:\t2\n", "")), "seccomp");
  refused(check_restored_status(confined(), with("CapBnd:\t0000000000000021", "CapBnd:\t200021")),
          "CAP_SYS_ADMIN");
  refused(check_restored_status(confined(), with("CapEff:\t0000000000000020", "CapEff:\t200000")),
          "CapEff");
  refused(check_restored_status(confined(), with("CapAmb:\t0000000000000000", "CapAmb:\t8")),
          "CapAmb");
  refused(check_restored_status(confined(), with("CapPrm", "CapXxx")), "CapPrm");
}

TEST(RestoredCheck, NamespacesAreTheContainersOwnOrTheHosts) {
  oci::Spec spec;
  spec.linux_.namespaces = {{NamespaceType::kPid, ""}, {NamespaceType::kNetwork, "/run/netns/x"}};
  NamespaceNumbers ours{};
  for (std::size_t i = 0; i < ours.size(); ++i) ours[i] = 100 + i;
  NamespaceNumbers its = ours;
  its[static_cast<std::size_t>(NamespaceType::kPid)] = 200;
  its[static_cast<std::size_t>(NamespaceType::kNetwork)] = 201;
  EXPECT_TRUE(check_restored_namespaces(spec, ours, its));
  its[static_cast<std::size_t>(NamespaceType::kTime)] = 202;
  EXPECT_TRUE(check_restored_namespaces(spec, ours, its));
  refused(check_restored_namespaces(spec, ours, ours), "pid namespace");
  its[static_cast<std::size_t>(NamespaceType::kUts)] = 203;
  refused(check_restored_namespaces(spec, ours, its), "uts");
}

// The mounts are looked at in a mount namespace of the test's own.
template <class Test>
int in_own_mounts(Test test) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool ready = ::unshare(CLONE_NEWNS) == 0 &&
                       ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) == 0;
    ::_exit(!ready ? 100 : test() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

class RestoredMounts : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount";
    for (const char* name : {"dir", "data"}) ASSERT_EQ(::mkdir((root_ / name).c_str(), 0755), 0);
    testing::write_text(root_ / "file", "secret");
    testing::write_text(root_ / "dir/inside", "secret");
  }
  Result<void> check(const oci::Spec& spec) {
    const auto root = open_at(AT_FDCWD, root_.path().c_str(), O_PATH | O_DIRECTORY);
    return check_restored_mounts(spec, root->get());
  }
  bool put(const char* source, const char* place, const char* type, unsigned long flags) {
    return ::mount(source, (root_ / place).c_str(), type, flags, nullptr) == 0;
  }
  testing::TemporaryDirectory root_;
};

TEST_F(RestoredMounts, MasksAreRequiredWhereThePathExists) {
  oci::Spec spec;
  spec.linux_.masked_paths = {"/file", "/dir", "/absent"};
  EXPECT_EQ(in_own_mounts([&] {
              if (check(spec)) return false;
              if (!put("/dev/null", "file", nullptr, MS_BIND)) return false;
              if (check(spec)) return false;
              if (!put("tmpfs", "dir", "tmpfs", MS_RDONLY)) return false;
              return check(spec).has_value();
            }),
            0);
}

TEST_F(RestoredMounts, AMaskThatCanBeWrittenOrHasSomethingInItIsNone) {
  oci::Spec spec;
  spec.linux_.masked_paths = {"/dir"};
  EXPECT_EQ(in_own_mounts([&] { return put("tmpfs", "dir", "tmpfs", 0) && !check(spec); }), 0);
  EXPECT_EQ(in_own_mounts([&] {
              const char* dir = "dir";
              return put((root_ / dir).c_str(), dir, nullptr, MS_BIND) &&
                     put(nullptr, dir, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY) && !check(spec);
            }),
            0);
}

TEST_F(RestoredMounts, FlagsAreAsConfigured) {
  oci::Spec spec;
  spec.mounts = {{.destination = "/data", .type = "tmpfs", .options = {"nosuid", "ro", "size=1m"}}};
  spec.linux_.readonly_paths = {"/data"};
  EXPECT_EQ(in_own_mounts([&] {
              return !check(spec) && put("t", "data", "tmpfs", MS_RDONLY) && !check(spec);
            }),
            0);
  EXPECT_EQ(in_own_mounts([&] { return put("t", "data", "tmpfs", MS_NOSUID) && !check(spec); }), 0);
  EXPECT_EQ(in_own_mounts([&] {
              return put("t", "data", "tmpfs", MS_RDONLY | MS_NOSUID) && check(spec).has_value();
            }),
            0);
  spec.mounts[0].destination = "/absent";
  refused(check(spec), "/absent");
}

TEST_F(RestoredMounts, TheRootIsReadOnlyWhenConfigured) {
  oci::Spec spec;
  spec.root = oci::Root{root_.path(), true};
  refused(check(spec), "root file system");
  spec.root->readonly = false;
  EXPECT_TRUE(check(spec));
}

}  // namespace
}  // namespace bulkhead::runtime
