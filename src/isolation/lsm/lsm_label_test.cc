// This machine may have neither AppArmor nor SELinux: a tree of plain files stands in for procfs,
// and what the kernel would answer is written into it.
#include "isolation/lsm/lsm_label.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "isolation/lsm/mount_label.h"
#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;

oci::Spec spec_with(std::optional<std::string> profile, std::optional<std::string> label = {}) {
  oci::Spec spec;
  spec.process.emplace();
  spec.process->apparmor_profile = std::move(profile);
  spec.process->selinux_label = std::move(label);
  return spec;
}

Result<LsmLabel::Plan> plan_of(const oci::Spec& spec, bool apparmor, bool selinux = false,
                               bool is_default = false) {
  HostFacts host;
  host.apparmor = apparmor;
  host.selinux = selinux;
  return LsmLabel::describe(Request{.spec = spec, .defaults = {.lsm_profile = is_default}}, host);
}

constexpr const char* kLabel = "system_u:system_r:container_t:s0:c1,c2";

// self/attr/exec and self/attr/apparmor/exec as plain files.
class AttributeTree {
 public:
  explicit AttributeTree(bool with_apparmor = true)
      : root_(::testing::TempDir() + "attributes-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(root_ + "/self/attr/apparmor");
    write("exec", "");
    if (with_apparmor) write("apparmor/exec", "");
    directory_ = Fd(::open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    context.proc = directory_.get();
  }
  ~AttributeTree() { std::filesystem::remove_all(root_); }

  std::string path(const char* name) const { return root_ + "/self/attr/" + name; }
  void write(const char* name, std::string_view text) const {
    const Fd file(::open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    EXPECT_TRUE(write_all(file.get(), text.data(), text.size()));
  }
  std::string read(const char* name) const { return *read_file_at(AT_FDCWD, path(name).c_str()); }

  ChildContext context;

 private:
  std::string root_;
  Fd directory_;
};

TEST(LsmLabel, AsksAppArmorForTheProfileAtExec) {
  const auto plan = *plan_of(spec_with("bulkhead-default"), true);
  EXPECT_EQ(plan.standing, Standing::kApplied);
  AttributeTree tree;
  ASSERT_TRUE(LsmLabel::apply(plan, tree.context));
  EXPECT_EQ(tree.read("apparmor/exec"), "exec bulkhead-default");
  EXPECT_EQ(tree.read("exec"), "");
}

TEST(LsmLabel, SaysThatAProfileOnlyComplains) {
  const auto spec = spec_with("web");
  HostFacts host;
  host.apparmor = true;
  for (const char* mode : {"complain", "unconfined"}) {
    host.apparmor_mode = mode;
    const auto plan = *LsmLabel::describe(Request{.spec = spec}, host);
    EXPECT_EQ(plan.standing, Standing::kApplied);
    EXPECT_NE(plan.warning.find(mode), std::string::npos);
    EXPECT_EQ(LsmLabel::explain(plan).standing, Standing::kOpened);
  }
  for (const char* mode : {"enforce", "kill", ""}) {
    host.apparmor_mode = mode;
    const auto plan = *LsmLabel::describe(Request{.spec = spec}, host);
    EXPECT_EQ(plan.warning, "");
    EXPECT_EQ(LsmLabel::explain(plan).standing, Standing::kApplied);
  }
}

TEST(LsmLabel, UsesTheOlderFileWhereThereIsNoOther) {
  const auto plan = *plan_of(spec_with("bulkhead-default"), true);
  AttributeTree tree(false);
  ASSERT_TRUE(LsmLabel::apply(plan, tree.context));
  EXPECT_EQ(tree.read("exec"), "exec bulkhead-default");
}

TEST(LsmLabel, WritesTheSelinuxLabelAsItIs) {
  const auto plan = *plan_of(spec_with({}, kLabel), false, true);
  AttributeTree tree;
  ASSERT_TRUE(LsmLabel::apply(plan, tree.context));
  EXPECT_EQ(tree.read("exec"), kLabel);
  tree.write("exec", std::string(kLabel) + std::string(1, '\0'));
  EXPECT_TRUE(LsmLabel::verify(plan, tree.context));
}

TEST(LsmLabel, HoldsWhenTheKernelShowsTheProfile) {
  const auto plan = *plan_of(spec_with("bulkhead-default"), true);
  AttributeTree tree;
  tree.write("apparmor/exec", "bulkhead-default (enforce)\n");
  EXPECT_TRUE(LsmLabel::verify(plan, tree.context));
}

TEST(LsmLabel, VerifyNoticesThatApplyNeverRan) {
  const auto plan = *plan_of(spec_with("bulkhead-default"), true);
  AttributeTree tree;
  EXPECT_FALSE(LsmLabel::verify(plan, tree.context));
  for (const char* other :
       {"unconfined\n", "bulkhead-default-2 (enforce)\n", "bulkhead (enforce)\n"}) {
    tree.write("apparmor/exec", other);
    EXPECT_FALSE(LsmLabel::verify(plan, tree.context)) << other;
  }
}

TEST(LsmLabel, FailsClosedWhenTheKernelRefuses) {
  const auto plan = *plan_of(spec_with("bulkhead-default"), true);
  AttributeTree tree;
  for (const long call : {SYS_openat2, SYS_write})
    EXPECT_TRUE(in_child([&] {
      testing::kernel_refuses(call, EPERM);
      return !LsmLabel::apply(plan, tree.context);
    })) << call;
}

TEST(LsmLabel, SaysThatAProfileIsNotLoaded) {
  const auto plan = *plan_of(spec_with("no-such-profile"), true);
  AttributeTree tree;
  EXPECT_TRUE(in_child([&] {
    testing::kernel_refuses(SYS_write, ENOENT);
    const auto applied = LsmLabel::apply(plan, tree.context);
    return !applied &&
           std::string_view(applied.error().call).find("not loaded") != std::string::npos &&
           std::string_view(applied.error().subject) == "no-such-profile";
  }));
}

// CVE-2025-52881: what leads out of the procfs that was checked is not followed.
TEST(LsmLabel, DoesNotFollowALinkOutOfTheTree) {
  const auto plan = *plan_of(spec_with("bulkhead-default"), true);
  AttributeTree tree;
  const std::string elsewhere = ::testing::TempDir() + "elsewhere-" + std::to_string(::getpid());
  {
    const Fd file(::open(elsewhere.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  }
  ::unlink(tree.path("apparmor/exec").c_str());
  ASSERT_EQ(::symlink(elsewhere.c_str(), tree.path("apparmor/exec").c_str()), 0);
  EXPECT_FALSE(LsmLabel::apply(plan, tree.context));
  EXPECT_EQ(*read_file_at(AT_FDCWD, elsewhere.c_str()), "");
  ::unlink(elsewhere.c_str());
}

TEST(LsmLabel, DoesNotWriteToWhatIsMountedOverTheFile) {
  SKIP_UNLESS_ROOT();
  const auto plan = *plan_of(spec_with("bulkhead-default"), true);
  EXPECT_TRUE(in_child([&] {
    testing::enter_private_mount_namespace();
    AttributeTree tree;
    if (::mount("tmpfs", tree.path("apparmor").c_str(), "tmpfs", 0, nullptr) != 0)
      testing::could_not_prepare("mount");
    tree.write("apparmor/exec", "");
    const bool refused = !LsmLabel::apply(plan, tree.context);
    const bool untouched = tree.read("apparmor/exec").empty();
    ::umount2(tree.path("apparmor").c_str(), MNT_DETACH);
    return refused && untouched;
  }));
}

TEST(LsmLabel, IsRefusedWhereTheHostLacksWhatWasAskedFor) {
  const auto apparmor = plan_of(spec_with("docker-default"), false);
  ASSERT_FALSE(apparmor);
  EXPECT_EQ(apparmor.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(
      apparmor.error().message(),
      "/process/apparmorProfile: \"docker-default\" was asked for, and AppArmor is not enabled on "
      "this host");
  const auto selinux = plan_of(spec_with({}, kLabel), true);
  ASSERT_FALSE(selinux);
  EXPECT_NE(selinux.error().message().find("SELinux is not enabled"), std::string::npos);
}

TEST(LsmLabel, IsLeftOutWithItsReasonWhereItIsOnlyADefault) {
  const auto plan = plan_of(spec_with("bulkhead-default"), false, false, true);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->standing, Standing::kLeftOut);
  EXPECT_EQ(LsmLabel::explain(*plan).reason, "AppArmor is not enabled on this host");
  ChildContext nothing;
  EXPECT_TRUE(LsmLabel::apply(*plan, nothing));
}

TEST(LsmLabel, TellsUnconfinedApart) {
  EXPECT_EQ(LsmLabel::explain(*plan_of(spec_with("unconfined"), true)).standing, Standing::kOpened);
  EXPECT_EQ(plan_of(spec_with("unconfined"), false)->standing, Standing::kNotApplicable);
  EXPECT_EQ(plan_of(spec_with({}), true)->standing, Standing::kNotApplicable);
  EXPECT_EQ(plan_of(spec_with(""), false)->standing, Standing::kNotApplicable);
}

TEST(LsmLabel, RefusesNamesThatNoPolicyHas) {
  EXPECT_FALSE(plan_of(spec_with("two\nlines"), true));
  EXPECT_FALSE(plan_of(spec_with("exec other profile"), true));
  EXPECT_FALSE(plan_of(spec_with({}, "a:b:c:s0\",rootcontext=\"x"), false, true));
}

TEST(MountLabel, IsQuotedForTheMountOptions) {
  EXPECT_EQ(context_option(kLabel), "context=\"system_u:system_r:container_t:s0:c1,c2\"");
  EXPECT_TRUE(check_selinux_label(kLabel, "/linux/mountLabel"));
  EXPECT_FALSE(check_selinux_label("x\",rootcontext=\"y", "/linux/mountLabel"));
}

}  // namespace
}  // namespace bulkhead::isolation
