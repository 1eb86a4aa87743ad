#include "volumes/copy_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "sys/file.h"
#include "sys/tree.h"
#include "volumes/export_tree.h"
#include "volumes/tar_entry.h"

namespace bulkhead::volumes {
namespace {

class CopyTree : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "owners need root";
    ASSERT_NE(::mkdtemp(place_), nullptr);
    for (const char* name : {"source", "target", "secret"})
      ASSERT_EQ(::mkdir(path(name).c_str(), 0755), 0);
    source_ = Fd(::open(path("source").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    target_ = Fd(::open(path("target").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    write("secret/key", "the host's");
  }
  void TearDown() override { (void)remove_tree_at(AT_FDCWD, place_); }

  std::string path(const std::string& name) const { return std::string(place_) + "/" + name; }
  void write(const std::string& name, std::string_view text) const {
    const auto file = open_at(AT_FDCWD, path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(file && write_all(file->get(), text.data(), text.size())) << name;
  }
  std::string read(const std::string& name) const {
    return read_file_at(AT_FDCWD, path(name).c_str()).value_or("(nothing)");
  }
  struct stat status(const std::string& name) const {
    struct stat found{};
    EXPECT_EQ(::lstat(path(name).c_str(), &found), 0) << name;
    return found;
  }

  char place_[32] = "/tmp/copy-test-XXXXXX";
  Fd source_;
  Fd target_;
};

TEST_F(CopyTree, KeepsContentOwnersModesTimesLinksAndAttributes) {
  ASSERT_EQ(::mkdir(path("source/inner").c_str(), 0750), 0);
  write("source/inner/file", "text");
  ASSERT_EQ(::link(path("source/inner/file").c_str(), path("source/also").c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", path("source/link").c_str()), 0);
  ASSERT_EQ(::mkfifo(path("source/pipe").c_str(), 0600), 0);
  ASSERT_EQ(::chown(path("source/inner/file").c_str(), 1000, 2000), 0);
  ASSERT_EQ(::chmod(path("source/inner/file").c_str(), 02750), 0);
  ASSERT_EQ(::lchown(path("source/link").c_str(), 7, 8), 0);
  ASSERT_EQ(::chown(path("source").c_str(), 33, 44), 0);
  ASSERT_EQ(::chmod(path("source").c_str(), 01770), 0);
  const bool attributes =
      ::setxattr(path("source/inner/file").c_str(), "user.note", "n", 1, 0) == 0;
  const timespec times[2] = {{1000, 5}, {2000, 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("source/inner").c_str(), times, 0), 0);
  const auto report = copy_tree(source_.get(), target_.get());
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->entries, 5U);
  EXPECT_EQ(read("target/inner/file"), "text");
  EXPECT_EQ(status("target/inner/file").st_uid, 1000U);
  EXPECT_EQ(status("target/inner/file").st_gid, 2000U);
  EXPECT_EQ(status("target/inner/file").st_mode & 07777, 02750U);
  EXPECT_EQ(status("target/inner/file").st_ino, status("target/also").st_ino);
  EXPECT_EQ(status("target/inner").st_mtim.tv_sec, 2000);
  EXPECT_EQ(status("target/link").st_uid, 7U);
  EXPECT_TRUE(S_ISFIFO(status("target/pipe").st_mode));
  EXPECT_EQ(status("target").st_uid, 33U);
  EXPECT_EQ(status("target").st_mode & 07777, 01770U);
  char value = 0;
  if (attributes) {
    EXPECT_EQ(::getxattr(path("target/inner/file").c_str(), "user.note", &value, 1), 1);
  }
}

TEST_F(CopyTree, CopiesLinksAndNotWhatTheyLeadTo) {
  ASSERT_EQ(::symlink("../secret", path("source/stolen").c_str()), 0);
  ASSERT_EQ(::symlink("../secret/key", path("source/key").c_str()), 0);
  ASSERT_TRUE(copy_tree(source_.get(), target_.get()));
  EXPECT_TRUE(S_ISLNK(status("target/stolen").st_mode));
  EXPECT_TRUE(S_ISLNK(status("target/key").st_mode));
  // What a copy does that follows them.
  ASSERT_EQ(std::system(("cp -rL " + path("source") + " " + path("naive")).c_str()), 0);
  EXPECT_EQ(read("naive/stolen/key"), "the host's");
}

TEST_F(CopyTree, RefusesWhatIsTooDeepAndLeavesDevicesOut) {
  ASSERT_EQ(::mknod(path("source/device").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  const auto shallow = copy_tree(source_.get(), target_.get());
  ASSERT_TRUE(shallow);
  EXPECT_EQ(shallow->left_out, 1U);
  EXPECT_NE(::access(path("target/device").c_str(), F_OK), 0);
  std::string name = path("source");
  for (int depth = 0; depth < 200; ++depth)
    ASSERT_EQ(::mkdir((name += "/d").c_str(), 0755), 0) << depth;
  const auto deep = copy_tree(source_.get(), target_.get());
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().kind(), ErrorKind::kUnsupported);
}

TEST_F(CopyTree, KeepsHoles) {
  {
    const auto file = open_at(AT_FDCWD, path("source/sparse").c_str(), O_WRONLY | O_CREAT, 0644);
    ASSERT_TRUE(file && ::pwrite(file->get(), "end", 3, 64 << 20) == 3);
  }
  ASSERT_TRUE(copy_tree(source_.get(), target_.get()));
  EXPECT_EQ(status("target/sparse").st_size, (64 << 20) + 3);
  EXPECT_LT(status("target/sparse").st_blocks * 512, 1 << 20);
}

TEST_F(CopyTree, ExportsWhatTarReads) {
  const std::string long_name(150, 'n');
  ASSERT_EQ(::mkdir(path("source/inner").c_str(), 0750), 0);
  write("source/inner/" + long_name, "content");
  ASSERT_EQ(::link(path("source/inner/" + long_name).c_str(), path("source/same").c_str()), 0);
  ASSERT_EQ(::symlink(std::string(180, 'x').c_str(), path("source/link").c_str()), 0);
  ASSERT_EQ(::chown(path("source/inner").c_str(), 3'000'000, 12), 0);
  {
    const auto tar = open_at(AT_FDCWD, path("out.tar").c_str(), O_WRONLY | O_CREAT, 0600);
    ASSERT_TRUE(tar);
    const auto done = export_tree(source_.get(), tar->get());
    ASSERT_TRUE(done) << done.error().message();
  }
  ASSERT_EQ(std::system(("tar -C " + path("target") + " -xpf " + path("out.tar")).c_str()), 0);
  EXPECT_EQ(read("target/inner/" + long_name), "content");
  EXPECT_EQ(status("target/same").st_nlink, 2U);
  EXPECT_EQ(status("target/inner").st_uid, 3'000'000U);
  char text[256] = {};
  EXPECT_EQ(::readlink(path("target/link").c_str(), text, sizeof text), 180);
}

TEST(TarEntry, SaysInAnExtendedHeaderWhatDoesNotFit) {
  TarEntry entry;
  entry.name = "./file";
  EXPECT_EQ(tar_header(entry).size(), kTarBlock);
  entry.size = std::uint64_t{9} << 30;
  EXPECT_NE(tar_header(entry).find("size=9663676416\n"), std::string::npos);
  entry.modified = -2;
  entry.modified_nanoseconds = 750'000'000;
  EXPECT_NE(tar_header(entry).find("mtime=-1.250000000\n"), std::string::npos);
  EXPECT_EQ(tar_header(entry).size() % kTarBlock, 0U);
}

}  // namespace
}  // namespace bulkhead::volumes
