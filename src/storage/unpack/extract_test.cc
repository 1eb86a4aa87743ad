#include "storage/unpack/extract.h"

#include <gtest/gtest.h>
#include <locale.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "storage/unpack/testing.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

using testing::TarEntry;
using testing::TarWriter;

// A directory with the layer in it, and beside the layer what an escape would reach.
class Extract : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setlocale(LC_CTYPE, "C.UTF-8");  // as bulkhead-unpack does
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/bulkhead-extract-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    top_ = name;
    ASSERT_EQ(::mkdir((top_ + "/layer").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((top_ + "/outside").c_str(), 0755), 0);
    write(top_ + "/outside/canary", "untouched");
    layer_ = Fd(::open((top_ + "/layer").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    if (!top_.empty()) (void)remove_tree_at(AT_FDCWD, top_.c_str());
  }

  static void write(const std::string& path, std::string_view content) {
    const Fd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_TRUE(write_all(file.get(), content.data(), content.size()));
  }

  static Fd memory_file(const std::string& content) {
    Fd file(::memfd_create("tar", MFD_CLOEXEC));
    EXPECT_TRUE(write_all(file.get(), content.data(), content.size()));
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
  }

  Result<ExtractReport> extract(const std::string& tar, const ExtractLimits& limits = {}) {
    const Fd input = memory_file(tar);
    DirectActs acts(layer_.get());
    return extract_layer(input.get(), layer_.get(), acts, limits);
  }

  std::string read(const std::string& name) const {
    auto text = read_file_at(layer_.get(), name.c_str());
    return text ? *text : "(" + text.error().message() + ")";
  }
  struct stat status(const std::string& name) const {
    struct stat found{};
    EXPECT_EQ(::fstatat(layer_.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW), 0) << name;
    return found;
  }
  bool exists(const std::string& name) const {
    return ::faccessat(layer_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  }
  bool is_whiteout(const std::string& name) const {
    const struct stat found = status(name);
    return S_ISCHR(found.st_mode) && found.st_rdev == makedev(0, 0);
  }
  // The attribute's value, or "(none)".
  std::string attribute(const std::string& name, const char* attribute) const {
    const Fd file(::openat(layer_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    char value[256];
    const ssize_t size = ::fgetxattr(file.get(), attribute, value, sizeof value);
    return size < 0 ? "(none)" : std::string(value, static_cast<std::size_t>(size));
  }
  bool is_opaque(const std::string& name) const {
    const bool trusted = attribute(name, "trusted.overlay.opaque") == "y";
    EXPECT_EQ(attribute(name, "user.overlay.opaque") == "y", trusted)
        << "for both kinds of overlay";
    return trusted;
  }
  // Nothing beside the layer has changed.
  void expect_host_untouched() const {
    const auto canary = read_file_at(AT_FDCWD, (top_ + "/outside/canary").c_str());
    ASSERT_TRUE(canary);
    EXPECT_EQ(*canary, "untouched");
    for (const char* name : {"/outside/planted", "/planted", "/outside/.wh.canary"})
      EXPECT_NE(::access((top_ + name).c_str(), F_OK), 0) << name;
  }

  std::string top_;
  Fd layer_;
};

// What an unpacker does that trusts names: the positive control of the attacks below.
void extract_naively(const std::string& tar, const std::string& directory) {
  for (std::size_t at = 0; at + 512 <= tar.size() && tar[at] != '\0';) {
    const char* const header = tar.data() + at;
    const std::string name(header, ::strnlen(header, 100));
    const std::string link(header + 157, ::strnlen(header + 157, 100));
    const std::size_t size = std::strtoul(header + 124, nullptr, 8);
    const std::string path = name.starts_with('/') ? name : directory + "/" + name;
    switch (header[156]) {
      case '0': {
        const Fd file(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644));
        if (file) (void)write_all(file.get(), header + 512, size);
        break;
      }
      case '1': (void)!::link((directory + "/" + link).c_str(), path.c_str()); break;
      case '2': (void)!::symlink(link.c_str(), path.c_str()); break;
      case '5': (void)!::mkdir(path.c_str(), 0755); break;
      default: break;
    }
    at += 512 + (size + 511) / 512 * 512;
  }
}

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

struct Attack {
  const char* name;
  std::function<std::string(const std::string& top)> tar;
  bool refused;  // or else it is written inside
};

const Attack kAttacks[] = {
    {"a parent in the name",
     [](const std::string&) { return TarWriter().file("../outside/canary", "changed").finish(); },
     true},
    {"a parent in the middle of the name",
     [](const std::string&) {
       return TarWriter().directory("a/").file("a/../../outside/canary", "changed").finish();
     },
     true},
    {"a link to the host, then a file through it",
     [](const std::string& top) {
       return TarWriter().symlink("door", top + "/outside").file("door/planted", "x").finish();
     },
     true},
    {"a relative link out, then a file through it",
     [](const std::string&) {
       return TarWriter().symlink("door", "../outside").file("door/canary", "changed").finish();
     },
     true},
    {"a link as the last component, then a file of its name",
     [](const std::string& top) {
       return TarWriter().symlink("door", top + "/outside/canary").file("door", "changed").finish();
     },
     false},
    {"a hard link to a file of the host",
     [](const std::string&) {
       return TarWriter().hard_link("door", "../outside/canary").file("door", "changed").finish();
     },
     true},
    {"a hard link through a link",
     [](const std::string& top) {
       return TarWriter()
           .symlink("out", top + "/outside")
           .hard_link("door", "out/canary")
           .file("door", "changed")
           .finish();
     },
     true},
    {"a directory through a link",
     [](const std::string& top) {
       return TarWriter().symlink("door", top + "/outside").directory("door/planted/").finish();
     },
     true},
};

TEST_F(Extract, LetsNoEntryOutOfTheLayer) {
  for (const Attack& attack : kAttacks) {
    SCOPED_TRACE(attack.name);
    const std::string tar = attack.tar(top_);
    const auto report = extract(tar);
    EXPECT_EQ(!report, attack.refused);
    expect_host_untouched();

    // The same bytes do reach the host when names are trusted.
    ASSERT_EQ(::mkdir((top_ + "/layer2").c_str(), 0755), 0);
    extract_naively(tar, top_ + "/layer2");
    const auto canary = read_file_at(AT_FDCWD, (top_ + "/outside/canary").c_str());
    ASSERT_TRUE(canary);
    EXPECT_TRUE(*canary != "untouched" || ::access((top_ + "/outside/planted").c_str(), F_OK) == 0)
        << "the naive unpacker is not fooled: the attack shows nothing";

    TearDown();
    SetUp();
  }
}

TEST_F(Extract, FollowsLinksOfTheLayerInsideOnly) {
  ASSERT_TRUE(extract(TarWriter()
                          .directory("usr/lib/")
                          .symlink("lib", "/usr/lib")
                          .symlink("up", "../../../../usr")
                          .file("lib/one", "1")
                          .file("up/two", "2")
                          .finish()));
  EXPECT_EQ(read("usr/lib/one"), "1");
  EXPECT_EQ(read("usr/two"), "2");
  expect_host_untouched();
}

TEST_F(Extract, RefusesMagicLinks) {
  EXPECT_FALSE(
      extract(TarWriter().symlink("door", "/proc/self/cwd").file("door/planted", "x").finish()));
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
