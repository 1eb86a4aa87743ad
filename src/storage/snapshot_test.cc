#include "storage/snapshot.h"

#include "storage/erofs_layers.h"
#include "storage/testing.h"

namespace bulkhead::storage {
namespace {

class Snapshots : public SnapshotTest, public ::testing::WithParamInterface<OverlayMethod> {};

TEST_P(Snapshots, ShowTheLayersWithTheContainersIds) {
  const auto mount = mounted(GetParam());
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
  {
    const auto mount = mounted(GetParam());
    ASSERT_TRUE(mount) << mount.error().message();
    const Fd file(::openat(mount->get(), "etc/hosts", O_WRONLY | O_TRUNC | O_CLOEXEC));
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file.get(), "changed", 7));
  }
  EXPECT_EQ(read_file_at(store_.get(), (kHigh + "/etc/hosts").c_str()), "high");
  EXPECT_EQ(read_file_at(store_.get(), "containers/one/upper/etc/hosts"), "changed");
}

TEST_P(Snapshots, OpenNoDevices) {
  ASSERT_EQ(::mknodat(store_.get(), (kHigh + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  const auto mount = mounted(GetParam());
  ASSERT_TRUE(mount);
  EXPECT_LT(::openat(mount->get(), "null", O_RDONLY | O_CLOEXEC), 0);
  EXPECT_EQ(errno, EACCES);
}

TEST_P(Snapshots, GiveTheRootDirectoryTheImagesModeAndOwner) {
  ASSERT_EQ(::fchmodat(store_.get(), kHigh.c_str(), 0751, 0), 0);
  ASSERT_EQ(::fchownat(store_.get(), kHigh.c_str(), 5, 6, 0), 0);
  const auto mount = mounted(GetParam());
  ASSERT_TRUE(mount) << mount.error().message();
  struct stat status{};
  ASSERT_EQ(::fstat(mount->get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0751U);
  EXPECT_EQ(status.st_uid, kFirstId + 5);
  EXPECT_EQ(status.st_gid, kFirstId + 6);
}

// A store on a tmpfs with as many layers as `count`, each with a file of its own number.
class ManyLayers : public Snapshots {
 protected:
  void SetUp() override {
    Snapshots::SetUp();
    if (IsSkipped()) return;
    tmpfs_ = path_ + "/tmpfs";
    ASSERT_EQ(::mkdir(tmpfs_.c_str(), 0755), 0);
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount("none", tmpfs_.c_str(), "tmpfs", 0, "size=16m"), 0);
    if (!clone_layer_directory(AT_FDCWD, tmpfs_.c_str(), space_.get()))
      GTEST_SKIP() << "a tmpfs cannot be idmapped here (before Linux 6.3)";
  }
  void fill(int count) {
    many_store_ = Fd(::open(tmpfs_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    many_.store = many_store_.get();
    many_.container = "containers/two";
    ASSERT_EQ(::mkdirat(many_.store, "layers", 0755), 0);
    for (int i = 0; i < count; ++i) {
      many_.layers.push_back("layers/" + std::string(58, 'a') + std::to_string(100000 + i));
      ASSERT_EQ(::mkdirat(many_.store, many_.layers.back().c_str(), 0755), 0);
      const std::string file = many_.layers.back() + "/" + std::to_string(i);
      const Fd made(::openat(many_.store, file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
      ASSERT_TRUE(made);
    }
    ASSERT_TRUE(make_container_directory(many_.store, many_.container));
    ASSERT_TRUE(make_upper(many_, HostUid(kFirstId), HostGid(kFirstId)));
  }

  std::string tmpfs_;
  Fd many_store_;
  Snapshot many_;
};

TEST_P(ManyLayers, WorkOnATmpfs) {
  fill(200);
  {
    const auto mount = mount_snapshot(many_, space_.get(), GetParam());
    ASSERT_TRUE(mount) << mount.error().message();
    for (const char* name : {"0", "63", "127", "199"})
      EXPECT_EQ(::faccessat(mount->get(), name, F_OK, 0), 0) << name;
  }
  many_store_.reset();
  EXPECT_EQ(::umount(tmpfs_.c_str()), 0) << "nothing holds on to it";
}

TEST_P(ManyLayers, AreAsManyAsTheKernelTakes) {
  fill(static_cast<int>(kMostLowerLayers));
  const auto mount = mount_snapshot(many_, space_.get(), GetParam());
  ASSERT_TRUE(mount) << mount.error().message();
  EXPECT_EQ(::faccessat(mount->get(), "499", F_OK, 0), 0);
}

TEST_P(ManyLayers, AreRefusedBeyondThatWithASentence) {
  fill(static_cast<int>(kMostLowerLayers) + 1);
  const auto mount = mount_snapshot(many_, space_.get(), GetParam());
  ASSERT_FALSE(mount);
  EXPECT_EQ(mount.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(mount.error().message().find("501 layers"), std::string::npos);
  EXPECT_NE(mount.error().message().find("500"), std::string::npos);
  EXPECT_FALSE(mount.error().hint().empty());
}

const auto kBothWays =
    ::testing::Values(OverlayMethod::kAutomatic, OverlayMethod::kPrivateNamespace);
constexpr auto kNameOf = [](const auto& method) {
  return method.param == OverlayMethod::kAutomatic ? "Automatic" : "PrivateNamespace";
};
INSTANTIATE_TEST_SUITE_P(BothWays, Snapshots, kBothWays, kNameOf);
INSTANTIATE_TEST_SUITE_P(BothWays, ManyLayers, kBothWays, kNameOf);

}  // namespace
}  // namespace bulkhead::storage
