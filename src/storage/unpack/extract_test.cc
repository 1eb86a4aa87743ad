#include "storage/unpack/extract.h"

#include <algorithm>

#include "storage/unpack/extract_testing.h"

namespace bulkhead::storage {
namespace {

using testing::Extract;
using testing::TarEntry;
using testing::TarWriter;

TEST_F(Extract, WritesFilesDirectoriesAndLinksWithTheirOwnersAndModes) {
  const auto report =
      extract(TarWriter()
                  .directory("./", 0755)
                  .directory("bin/", 0711)
                  .add({.name = "bin/su", .content = "su", .mode = 04755, .uid = 7, .gid = 8})
                  .symlink("sh", "/bin/su")
                  .hard_link("bin/su2", "bin/su")
                  .add({.name = "pipe", .type = '6', .mode = 0640, .uid = 9})
                  .finish());
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->entries, 6U);
  EXPECT_EQ(read("bin/su"), "su");
  EXPECT_EQ(status("bin").st_mode & 07777, 0711U);
  EXPECT_EQ(status("bin/su").st_mode & 07777, 04755U);
  EXPECT_EQ(status("bin/su").st_uid, 7U);
  EXPECT_EQ(status("bin/su").st_gid, 8U);
  EXPECT_EQ(status("bin/su").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(status("bin").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(status("bin/su").st_ino, status("bin/su2").st_ino);
  EXPECT_TRUE(S_ISLNK(status("sh").st_mode));
  EXPECT_TRUE(S_ISFIFO(status("pipe").st_mode));
  EXPECT_EQ(status("pipe").st_uid, 9U);
}

TEST_F(Extract, MakesMissingParents) {
  ASSERT_TRUE(extract(TarWriter().file("a/b/c/file", "x").finish()));
  EXPECT_EQ(read("a/b/c/file"), "x");
  EXPECT_EQ(status("a").st_mode & 07777, 0755U);
}

TEST_F(Extract, TreatsAbsoluteNamesAsRelative) {
  ASSERT_TRUE(extract(TarWriter().file("//etc/./passwd", "x").finish()));
  EXPECT_EQ(read("etc/passwd"), "x");
}

TEST_F(Extract, LaterEntriesReplaceEarlierOnes) {
  ASSERT_TRUE(extract(TarWriter()
                          .file("a", "first")
                          .file("a", "second")
                          .directory("d/")
                          .file("d/inner", "x")
                          .file("d", "now a file")
                          .symlink("l", "a")
                          .directory("l/")
                          .file("l/inside", "y")
                          .finish()));
  EXPECT_EQ(read("a"), "second");
  EXPECT_EQ(read("d"), "now a file");
  EXPECT_EQ(read("l/inside"), "y");
}

// A cached parent must not outlive its place in the tree.
TEST_F(Extract, ResolvesAParentAnewAfterItWasReplaced) {
  ASSERT_TRUE(extract(TarWriter()
                          .directory("real/")
                          .directory("d/")
                          .file("d/one", "1")
                          .symlink("d", "real")
                          .file("d/two", "2")
                          .finish()));
  EXPECT_EQ(read("real/two"), "2");
}

TEST_F(Extract, TurnsWhiteoutsIntoTheFormOfOverlayfs) {
  const auto report = extract(TarWriter()
                                  .file("etc/.wh.passwd", "")
                                  .file("var/cache/.wh..wh..opq", "")
                                  .file("var/cache/new", "n")
                                  .file(".wh..wh.plnk/1.2", "aufs bookkeeping")
                                  .finish());
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_TRUE(is_whiteout("etc/passwd"));
  EXPECT_TRUE(is_opaque("var/cache"));
  EXPECT_FALSE(is_opaque("var"));
  EXPECT_EQ(read("var/cache/new"), "n");
  EXPECT_FALSE(exists("var/cache/.wh..wh..opq"));
  EXPECT_FALSE(exists(".wh..wh.plnk"));
}

TEST_F(Extract, AWhiteoutHidesOnlyWhatIsBelow) {
  const auto report = extract(TarWriter()
                                  .file("kept", "k")
                                  .file(".wh.kept", "")
                                  .directory("first/")
                                  .file("first/a", "a")
                                  .file(".wh.first", "")
                                  .file(".wh.second", "")
                                  .file("second/b", "b")
                                  .file(".wh.third", "")
                                  .directory("third/")
                                  .finish());
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(read("kept"), "k");
  EXPECT_EQ(read("first/a"), "a");
  EXPECT_EQ(read("second/b"), "b");
  EXPECT_TRUE(S_ISDIR(status("third").st_mode));
  for (const char* name : {"first", "second", "third"}) EXPECT_TRUE(is_opaque(name)) << name;
}

TEST_F(Extract, RefusesWhiteoutsThatHideNothingOrHoldSomething) {
  EXPECT_FALSE(extract(TarWriter().file(".wh.", "").finish()));
  EXPECT_FALSE(extract(TarWriter().file(".wh..", "").finish()));
  EXPECT_FALSE(extract(TarWriter().file(".wh...", "").finish()));
  EXPECT_FALSE(extract(TarWriter().file(".wh.a/b", "").finish()));
}

TEST_F(Extract, MakesDeviceNodesButNoWhiteoutsInDisguise) {
  const auto report =
      extract(TarWriter()
                  .file("null", "in the way")
                  .add({.name = "sda", .type = '4', .mode = 0660, .gid = 6, .major = 8, .minor = 1})
                  .add({.name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3})
                  .hard_link("zero", "null")
                  .add({.name = "whiteout", .type = '3', .major = 0, .minor = 0})
                  .finish());
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->skipped_devices, 1U);
  EXPECT_FALSE(exists("whiteout"));
  const struct stat disk = status("sda");
  EXPECT_EQ(disk.st_mode, S_IFBLK | 0660U);
  EXPECT_EQ(disk.st_gid, 6U);
  EXPECT_EQ(disk.st_rdev, makedev(8, 1));
  EXPECT_EQ(disk.st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(status("null").st_mode, S_IFCHR | 0666U);
  EXPECT_EQ(status("zero").st_ino, status("null").st_ino);
  // Only what the kernel has room for.
  EXPECT_FALSE(extract(TarWriter().add({.name = "d", .type = '3', .major = 4096}).finish()));
}

TEST_F(Extract, KeepsOnlyHarmlessExtendedAttributes) {
  const std::string capability(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  const auto report = extract(TarWriter()
                                  .add({.name = "file",
                                        .content = "x",
                                        .mode = 0755,
                                        .pax = {{"SCHILY.xattr.user.note", "kept"},
                                                {"SCHILY.xattr.security.capability", capability},
                                                {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                                                {"SCHILY.xattr.trusted.overlay.metacopy", "y"},
                                                {"SCHILY.xattr.user.overlay.opaque", "y"},
                                                {"SCHILY.xattr.security.selinux", "label"}}})
                                  .finish());
  ASSERT_TRUE(report) << report.error().message();
  const Fd file(::openat(layer_.get(), "file", O_RDONLY | O_CLOEXEC));
  char names[512] = {};
  const ssize_t size = ::flistxattr(file.get(), names, sizeof names);
  ASSERT_GT(size, 0);
  const std::string list(names, static_cast<std::size_t>(size));
  EXPECT_NE(list.find("user.note"), std::string::npos);
  EXPECT_NE(list.find("security.capability"), std::string::npos);
  EXPECT_EQ(list.find("overlay"), std::string::npos);
  EXPECT_EQ(list.find("selinux"), std::string::npos);
}

TEST_F(Extract, TakesPathsFromExtendedHeadersByTheSameRules) {
  EXPECT_FALSE(
      extract(TarWriter()
                  .add({.name = "innocent", .content = "x", .pax = {{"path", "../outside/canary"}}})
                  .finish()));
  expect_host_untouched();
  const std::string name = "d/" + std::string(200, 'n');
  ASSERT_TRUE(
      extract(TarWriter().add({.name = "x", .content = "long", .pax = {{"path", name}}}).finish()));
  EXPECT_EQ(read(name), "long");
  ASSERT_TRUE(
      extract(TarWriter()
                  .add({.name = "x", .content = "utf-8", .pax = {{"path", "gr\xC3\xBC\xC3\x9F"}}})
                  .finish()));
  EXPECT_EQ(read("gr\xC3\xBC\xC3\x9F"), "utf-8");
}

TEST_F(Extract, KeepsNamesThatAreNotUtf8) {
  ASSERT_TRUE(extract(TarWriter().file("latin1-\xE9", "x").finish()));
  EXPECT_EQ(read("latin1-\xE9"), "x");
}

TEST_F(Extract, RefusesWhatIsTooMuch) {
  ExtractLimits limits;
  limits.entries = 2;
  EXPECT_FALSE(extract(TarWriter().file("a", "").file("b", "").file("c", "").finish(), limits));
  limits = {};
  limits.bytes = 10;
  EXPECT_FALSE(extract(TarWriter().file("a", "12345").file("b", "123456").finish(), limits));
  EXPECT_FALSE(extract(TarWriter().file(std::string(90, 'a') + "/..", "").finish()));
  limits = {};
  limits.path_length = 20;
  EXPECT_FALSE(extract(TarWriter().file("a/b/c/d/e/f/g/h/i/j/k/l", "").finish(), limits));
  limits = {};
  limits.attribute_bytes = 8;
  EXPECT_FALSE(extract(
      TarWriter().add({.name = "f", .pax = {{"SCHILY.xattr.user.big", "123456789"}}}).finish(),
      limits));
}

TEST_F(Extract, RefusesIdsThatMeanSomethingElse) {
  EXPECT_FALSE(extract(TarWriter().add({.name = "f", .pax = {{"uid", "4294967295"}}}).finish()));
  EXPECT_FALSE(extract(TarWriter().add({.name = "f", .pax = {{"gid", "4294967296"}}}).finish()));
}

TEST_F(Extract, RefusesDamagedArchives) {
  std::string tar = TarWriter().file("a", std::string(2000, 'x')).finish();
  EXPECT_FALSE(extract(tar.substr(0, 1000)));
  tar[0] = 'b';  // the checksum does not fit any more
  EXPECT_FALSE(extract(tar));
  EXPECT_FALSE(
      extract("this is no tar at all, but text of more than a few bytes" + std::string(600, '.')));
}

TEST_F(Extract, TakesAnEmptyLayer) {
  EXPECT_TRUE(extract(""));
  EXPECT_TRUE(extract(TarWriter().finish()));
}

TEST_F(Extract, RefusesHardLinksToDirectoriesAndWhiteouts) {
  EXPECT_FALSE(extract(TarWriter().directory("d/").hard_link("l", "d").finish()));
  EXPECT_FALSE(extract(TarWriter().file(".wh.gone", "").hard_link("l", "gone").finish()));
  EXPECT_FALSE(extract(TarWriter().hard_link("l", "missing").finish()));
}

}  // namespace
}  // namespace bulkhead::storage
