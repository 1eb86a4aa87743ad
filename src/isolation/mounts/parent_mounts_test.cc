#include "isolation/mounts/parent_mounts.h"

#include <gtest/gtest.h>
#include <sys/statvfs.h>

#include <functional>

#include "isolation/mounts/tree_testing.h"

namespace bulkhead::isolation {
namespace {

using namespace testing;

Fd user_namespace_of(pid_t process) {
  return Fd(
      ::open(("/proc/" + std::to_string(process) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
}

// Both halves: the parent makes its mounts with the host's rights, the child builds the tree.
class BothHalves : public ::testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_ROOT();
    fill_root(root_);
    spec_ = spec_of(root_.path());
  }
  bool build_and_look(const std::vector<Fd>& mounts, const std::function<bool()>& look) {
    TestChild child;
    std::vector<int> numbers;
    for (const Fd& mount : mounts) numbers.push_back(mount.get());
    child.parent.mounts = numbers;
    return answer_of(make_tree(request_of(spec_), host_, child)) && step_inside(child) && look();
  }
  Result<std::vector<Fd>> parent_half(int user_namespace) {
    auto plan = describe_parent_mounts(request_of(spec_), host_);
    if (!plan) return std::unexpected(std::move(plan).error());
    return make_parent_mounts(*plan, user_namespace);
  }

  TemporaryDirectory root_;
  TemporaryDirectory host_directory_;
  oci::Spec spec_;
  HostFacts host_ = full_host();
};

TEST_F(BothHalves, AUserNamespaceGetsRootAndSourcesThatItMayNotWalkTo) {
  TemporaryDirectory closed;
  closed.directory("root").directory("root/mnt").directory("volume").file("volume/f", "x");
  ::chmod(closed.path().c_str(), 0700);
  spec_.root->path = closed.at("root");
  spec_.linux_.namespaces.push_back({oci::NamespaceType::kUser, ""});
  spec_.mounts = {bind_mount(closed.at("volume"), "/mnt", {"rbind", "ro"})};
  const auto mounts = parent_half(-1);
  ASSERT_TRUE(mounts);
  ASSERT_EQ(mounts->size(), 2U);
  EXPECT_TRUE(in_child_as_root_of_user_namespace(
      [&] {
        // The control: by path the child could not.
        if (::open(closed.at("root").c_str(), O_PATH) >= 0) return false;
        return build_and_look(*mounts, [] {
          struct statvfs status{};
          return exists("/mnt/f") && ::statvfs("/mnt", &status) == 0 &&
                 (status.f_flag & ST_RDONLY) != 0;
        });
      },
      CLONE_NEWNS));
}

TEST_F(BothHalves, TheParentsRootDoesNotPropagateToTheHost) {
  spec_.linux_.namespaces.push_back({oci::NamespaceType::kUser, ""});
  spec_.mounts = {{"/tmp", "tmpfs", "tmpfs", {}, {}, {}}};
  EXPECT_TRUE(in_child([&] {
    enter_private_mount_namespace();
    if (::mount(root_.path().c_str(), root_.path().c_str(), nullptr, MS_BIND, nullptr) != 0 ||
        ::mount(nullptr, root_.path().c_str(), nullptr, MS_SHARED, nullptr) != 0)
      could_not_prepare("mount");
    const auto mounts = parent_half(-1);
    if (!mounts) return false;
    const bool built = in_child([&] {
      return build_and_look(*mounts, [&] {
        // Seen from the outer namespace while the container stands.
        return true;
      });
    });
    // Mounts that had propagated would have stayed behind.
    const auto text = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 1U << 22U);
    return built && text && text->find(root_.path() + "/tmp") == std::string::npos;
  }));
}

TEST_F(BothHalves, ASharedVolumeShowsTheHostWhatIsMountedInIt) {
  host_directory_.directory("v").directory("v/sub");
  const auto seen_outside = [&](const char* propagation) {
    spec_.mounts = {bind_mount(host_directory_.at("v"), "/mnt", {"rbind", propagation})};
    return in_child([&] {
      enter_private_mount_namespace();
      const std::string volume = host_directory_.at("v");
      if (::mount(volume.c_str(), volume.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
          ::mount(nullptr, volume.c_str(), nullptr, MS_SHARED, nullptr) != 0)
        could_not_prepare("mount");
      const auto mounts = parent_half(-1);
      if (!mounts) return false;
      if (!in_child([&] {
            return build_and_look(
                *mounts, [] { return ::mount("tmpfs", "/mnt/sub", "tmpfs", 0, nullptr) == 0; });
          }))
        return false;
      const auto text = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 1U << 22U);
      return text && text->find(volume + "/sub") != std::string::npos;
    });
  };
  EXPECT_TRUE(seen_outside("rshared"));
  EXPECT_FALSE(seen_outside("rslave"));
  EXPECT_FALSE(seen_outside("rprivate"));
}

TEST_F(BothHalves, AVolumeIsMappedOneToOneToTheContainersIds) {
  host_directory_.directory("v").file("v/mine", "x");
  ::lchown(host_directory_.at("v/mine").c_str(), 5, 6);
  spec_.linux_.namespaces.push_back({oci::NamespaceType::kUser, ""});
  spec_.mounts = {bind_mount(host_directory_.at("v"), "/mnt", {"rbind", "idmap"})};
  int report[2];
  ASSERT_EQ(::pipe2(report, 0), 0);
  // The mount needs the child's namespace, so that the parent's half comes while the child waits.
  int go[2];
  ASSERT_EQ(::pipe2(go, 0), 0);
  const pid_t holder = ::fork();
  if (holder == 0) {
    (void)!in_child_as_root_of_user_namespace([&] {
      const pid_t self = static_cast<pid_t>(::syscall(SYS_getpid));
      char byte = 0;
      return ::write(report[1], &self, sizeof self) == sizeof self && ::read(go[0], &byte, 1) == 1;
    });
    ::_exit(0);
  }
  pid_t inside = 0;
  ASSERT_EQ(::read(report[0], &inside, sizeof inside), static_cast<ssize_t>(sizeof inside));
  const Fd space = user_namespace_of(inside);
  const auto mounts = parent_half(space.get());
  EXPECT_TRUE(mounts) << (mounts ? "" : mounts.error().message());
  EXPECT_TRUE(mounts && in_child([&] {
                if (::setns(space.get(), CLONE_NEWUSER) != 0) could_not_prepare("setns");
                return build_and_look(*mounts, [] {
                  struct stat status{};
                  return ::stat("/mnt/mine", &status) == 0 && status.st_uid == 5 &&
                         status.st_gid == 6;
                });
              }));
  EXPECT_EQ(::write(go[1], "x", 1), 1);
  ::waitpid(holder, nullptr, 0);
}

TEST_F(BothHalves, AMountCanHaveMappingsOfItsOwn) {
  host_directory_.directory("v").file("v/mine", "x");
  ::lchown(host_directory_.at("v/mine").c_str(), 1001, 1001);
  auto mount = bind_mount(host_directory_.at("v"), "/mnt", {"bind", "idmap"});
  mount.uid_mappings = {{1000, 2000, 10}};
  mount.gid_mappings = {{1001, 3000, 1}};
  spec_.mounts = {mount};
  const auto mounts = parent_half(-1);
  ASSERT_TRUE(mounts) << mounts.error().message();
  EXPECT_TRUE(in_child([&] {
    return build_and_look(*mounts, [] {
      struct stat status{};
      return ::stat("/mnt/mine", &status) == 0 && status.st_uid == 2001 && status.st_gid == 3000;
    });
  }));
}

TEST_F(BothHalves, AFileSystemThatCannotBeIdmappedIsNamed) {
  auto mount = bind_mount("/proc/sys", "/mnt", {"bind", "idmap"});
  mount.uid_mappings = {{0, 2000, 10}};
  mount.gid_mappings = {{0, 3000, 10}};
  spec_.mounts = {mount};
  const auto mounts = parent_half(-1);
  ASSERT_FALSE(mounts);
  EXPECT_NE(mounts.error().message().find("proc"), std::string::npos) << mounts.error().message();
  EXPECT_FALSE(mounts.error().hint().empty());
}

TEST_F(BothHalves, AMissingSourceNamesTheMount) {
  spec_.linux_.namespaces.push_back({oci::NamespaceType::kUser, ""});
  spec_.mounts = {bind_mount(host_directory_.at("missing"), "/mnt")};
  const auto mounts = parent_half(-1);
  ASSERT_FALSE(mounts);
  EXPECT_NE(mounts.error().message().find("/mounts/0"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::isolation
