#include "isolation/rootfs/rootfs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

HostFacts privileged_host() {
  HostFacts host;
  host.effective_capabilities = ~std::uint64_t{0};
  return host;
}

oci::Spec spec_at(std::string path) {
  oci::Spec spec;
  spec.root = oci::Root{std::move(path), false};
  return spec;
}

TEST(Rootfs, APathIsRequiredAndTakenFromTheBundle) {
  oci::Spec none;
  EXPECT_FALSE(Rootfs::describe(Request{.spec = none}, privileged_host()));
  const auto relative = spec_at("rootfs");
  const auto plan =
      Rootfs::describe(Request{.spec = relative, .bundle = "/bundle"}, privileged_host());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->path, "/bundle/rootfs");
  EXPECT_FALSE(plan->parent_mount);
  EXPECT_TRUE(Rootfs::describe(Request{.spec = none, .root_from_parent = true}, privileged_host())
                  ->parent_mount);
}

TEST(Rootfs, APrivilegedParentOpensItForAUserNamespace) {
  auto spec = spec_at("/r");
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  EXPECT_TRUE(Rootfs::describe(Request{.spec = spec}, privileged_host())->parent_mount);
  EXPECT_FALSE(Rootfs::describe(Request{.spec = spec}, HostFacts{})->parent_mount);
}

TEST(Rootfs, HoldsAfterApply) {
  SKIP_UNLESS_ROOT();
  const auto spec = spec_at("/usr");
  const auto plan = Rootfs::describe(Request{.spec = spec}, privileged_host());
  ASSERT_TRUE(plan);
  for (const bool new_api : {true, false})
    EXPECT_TRUE(in_child([&]() -> SysResult<void> {
      enter_private_mount_namespace();
      if (!new_api) kernel_refuses(SYS_open_tree, ENOSYS);
      TestChild child;
      TRY(Rootfs::apply(*plan, child));
      struct stat host{};
      struct stat root{};
      if (::stat("/usr/bin", &host) != 0 || ::fstatat(child.context.root, "bin", &root, 0) != 0 ||
          host.st_ino != root.st_ino)
        return sys_fail_with(EBADE, "another directory");
      return Rootfs::verify(*plan, child);
    }));
}

TEST(Rootfs, AMissingRootAndAFileAreErrors) {
  SKIP_UNLESS_ROOT();
  for (const char* path : {"/nowhere/at/all", "/etc/passwd"}) {
    const auto spec = spec_at(path);
    const auto plan = Rootfs::describe(Request{.spec = spec}, privileged_host());
    ASSERT_TRUE(plan);
    EXPECT_TRUE(in_child([&] {
      enter_private_mount_namespace();
      TestChild child;
      const auto applied = Rootfs::apply(*plan, child);
      return !applied && std::string_view(applied.error().subject) == path &&
             (applied.error().error == ENOENT || applied.error().error == ENOTDIR);
    })) << path;
  }
}

TEST(Rootfs, VerifyNoticesThatApplyNeverRan) {
  const auto spec = spec_at("/usr");
  const auto plan = Rootfs::describe(Request{.spec = spec}, privileged_host());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !Rootfs::verify(*plan, child);
  }));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    // A directory of the host that is no mount.
    child.context.root = ::open("/usr/bin", O_PATH | O_CLOEXEC);
    return !Rootfs::verify(*plan, child);
  }));
}

TEST(Rootfs, FailsClosedWhenTheKernelRefuses) {
  SKIP_UNLESS_ROOT();
  const auto spec = spec_at("/usr");
  const auto plan = Rootfs::describe(Request{.spec = spec}, privileged_host());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&] {
    enter_private_mount_namespace();
    kernel_refuses(SYS_move_mount, EPERM);
    TestChild child;
    return !Rootfs::apply(*plan, child);
  }));
  EXPECT_TRUE(in_child([&] {
    enter_private_mount_namespace();
    kernel_refuses(SYS_open_tree, EPERM);
    kernel_refuses(SYS_mount, EPERM);
    TestChild child;
    return !Rootfs::apply(*plan, child);
  }));
}

TEST(Rootfs, AParentThatFailsIsAnError) {
  const auto spec = spec_at("/usr");
  const auto plan =
      Rootfs::describe(Request{.spec = spec, .root_from_parent = true}, privileged_host());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    child.parent.error = EPIPE;
    return !Rootfs::apply(*plan, child);
  }));
}

}  // namespace
}  // namespace bulkhead::isolation
