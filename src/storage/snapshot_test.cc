#include "storage/snapshot.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cstdlib>

#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint32_t kFirstId = 1'700'000'000;

// A user namespace that maps 0 to 65535 to kFirstId upwards, by descriptor.
Fd make_user_namespace() {
  int ready[2];
  int done[2];
  if (::pipe2(ready, O_CLOEXEC) != 0 || ::pipe2(done, O_CLOEXEC) != 0) return Fd();
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(1);
    (void)!::write(ready[1], &byte, 1);
    ::close(done[1]);
    (void)!::read(done[0], &byte, 1);
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  Fd space;
  if (::read(ready[0], &byte, 1) == 1) {
    const std::string proc = "/proc/" + std::to_string(child);
    const std::string map = "0 " + std::to_string(kFirstId) + " 65536";
    if (write_file_at(AT_FDCWD, (proc + "/uid_map").c_str(), map) &&
        write_file_at(AT_FDCWD, (proc + "/gid_map").c_str(), map))
      space = Fd(::open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  }
  ::close(ready[0]);
  ::close(done[0]);
  ::close(done[1]);
  ::waitpid(child, nullptr, 0);
  return space;
}

class Snapshots : public ::testing::TestWithParam<OverlayMethod> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/bulkhead-snapshot-XXXXXX";
    path_ = ::mkdtemp(name);
    store_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (const char* directory :
         {"layers", "layers/low", "layers/low/etc", "layers/high", "layers/high/etc"})
      ASSERT_EQ(::mkdirat(store_.get(), directory, 0755), 0);
    write("layers/low/etc/hosts", "low");
    write("layers/low/etc/passwd", "hidden");
    write("layers/high/etc/hosts", "high");
    ASSERT_EQ(::mknodat(store_.get(), "layers/high/etc/passwd", S_IFCHR, makedev(0, 0)), 0);
    snapshot_.store = store_.get();
    snapshot_.layers = {"layers/high", "layers/low"};
    snapshot_.container = "containers/one";
    space_ = make_user_namespace();
    ASSERT_TRUE(space_);
  }
  void TearDown() override {
    if (!path_.empty()) (void)remove_tree_at(AT_FDCWD, path_.c_str());
  }
  void write(const char* name, std::string_view content) {
    const Fd file(::openat(store_.get(), name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_TRUE(write_all(file.get(), content.data(), content.size()));
  }

  std::string path_;
  Fd store_;
  Fd space_;
  Snapshot snapshot_;
};

TEST_P(Snapshots, ShowTheLayersWithTheContainersIds) {
  ASSERT_TRUE(make_container_directory(store_.get(), snapshot_.container));
  ASSERT_TRUE(make_upper(snapshot_, HostUid(kFirstId), HostGid(kFirstId)));
  const auto mount = mount_snapshot(snapshot_, space_.get(), GetParam());
  ASSERT_TRUE(mount) << mount.error().message();
  EXPECT_EQ(read_file_at(mount->get(), "etc/hosts"), "high");
  EXPECT_NE(::faccessat(mount->get(), "etc/passwd", F_OK, 0), 0) << "the whiteout hides it";
  struct stat status{};
  ASSERT_EQ(::fstatat(mount->get(), "etc/hosts", &status, 0), 0);
  EXPECT_EQ(status.st_uid, kFirstId) << "root's file belongs to the container's root";
  ASSERT_EQ(::fstat(mount->get(), &status), 0);
  EXPECT_EQ(status.st_uid, kFirstId);
}

TEST_P(Snapshots, WriteToTheContainersDirectoryOnly) {
  ASSERT_TRUE(make_container_directory(store_.get(), snapshot_.container));
  ASSERT_TRUE(make_upper(snapshot_, HostUid(kFirstId), HostGid(kFirstId)));
  {
    const auto mount = mount_snapshot(snapshot_, space_.get(), GetParam());
    ASSERT_TRUE(mount) << mount.error().message();
    const Fd file(::openat(mount->get(), "etc/hosts", O_WRONLY | O_TRUNC | O_CLOEXEC));
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file.get(), "changed", 7));
  }
  EXPECT_EQ(read_file_at(store_.get(), "layers/high/etc/hosts"), "high");
  EXPECT_EQ(read_file_at(store_.get(), "containers/one/upper/etc/hosts"), "changed");
}

TEST_P(Snapshots, OpenNoDevices) {
  ASSERT_EQ(::mknodat(store_.get(), "layers/high/null", S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_TRUE(make_container_directory(store_.get(), snapshot_.container));
  ASSERT_TRUE(make_upper(snapshot_, HostUid(kFirstId), HostGid(kFirstId)));
  const auto mount = mount_snapshot(snapshot_, space_.get(), GetParam());
  ASSERT_TRUE(mount);
  EXPECT_LT(::openat(mount->get(), "null", O_RDONLY | O_CLOEXEC), 0);
  EXPECT_EQ(errno, EACCES);
}

TEST_P(Snapshots, WorkOnATmpfsAndWithManyLayers) {
  const std::string tmpfs = path_ + "/tmpfs";
  ASSERT_EQ(::mkdir(tmpfs.c_str(), 0755), 0);
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(::mount("none", tmpfs.c_str(), "tmpfs", 0, "size=8m"), 0);
  {
    const Fd store(::open(tmpfs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Snapshot many;
    many.store = store.get();
    many.container = "containers/two";
    ASSERT_EQ(::mkdirat(store.get(), "layers", 0755), 0);
    for (int i = 0; i < 127; ++i) {
      many.layers.push_back("layers/" + std::string(58, 'a') + std::to_string(100000 + i));
      ASSERT_EQ(::mkdirat(store.get(), many.layers.back().c_str(), 0755), 0);
      const std::string file = many.layers.back() + "/" + std::to_string(i);
      const Fd made(::openat(store.get(), file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
      ASSERT_TRUE(made);
    }
    ASSERT_TRUE(make_container_directory(many.store, many.container));
    ASSERT_TRUE(make_upper(many, HostUid(kFirstId), HostGid(kFirstId)));
    const auto mount = mount_snapshot(many, space_.get(), GetParam());
    ASSERT_TRUE(mount) << mount.error().message();
    for (const char* name : {"0", "63", "126"})
      EXPECT_EQ(::faccessat(mount->get(), name, F_OK, 0), 0) << name;
  }
  EXPECT_EQ(::umount(tmpfs.c_str()), 0) << "nothing holds on to it";
}

TEST_P(Snapshots, GiveTheRootDirectoryTheImagesModeAndOwner) {
  ASSERT_EQ(::fchmodat(store_.get(), "layers/high", 0751, 0), 0);
  ASSERT_EQ(::fchownat(store_.get(), "layers/high", 5, 6, 0), 0);
  ASSERT_TRUE(make_container_directory(store_.get(), snapshot_.container));
  ASSERT_TRUE(make_upper(snapshot_, HostUid(kFirstId), HostGid(kFirstId)));
  const auto mount = mount_snapshot(snapshot_, space_.get(), GetParam());
  ASSERT_TRUE(mount) << mount.error().message();
  struct stat status{};
  ASSERT_EQ(::fstat(mount->get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0751U);
  EXPECT_EQ(status.st_uid, kFirstId + 5);
  EXPECT_EQ(status.st_gid, kFirstId + 6);
}

INSTANTIATE_TEST_SUITE_P(BothWays, Snapshots,
                         ::testing::Values(OverlayMethod::kAutomatic,
                                           OverlayMethod::kPrivateNamespace),
                         [](const auto& method) {
                           return method.param == OverlayMethod::kAutomatic ? "Automatic"
                                                                            : "PrivateNamespace";
                         });

}  // namespace
}  // namespace bulkhead::storage
