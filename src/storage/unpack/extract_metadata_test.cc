// What of a file's metadata a layer keeps.
#include <algorithm>

#include "storage/unpack/extract_testing.h"

namespace bulkhead::storage {
namespace {

using testing::Extract;
using testing::TarWriter;

TEST_F(Extract, KeepsTimesBeforeTheEpochAndOfNanoseconds) {
  const auto timed = [](std::string name, char type, std::string time) {
    return testing::TarEntry{.name = std::move(name),
                             .type = type,
                             .link = type == '2' ? "target" : "",
                             .pax = {{"mtime", std::move(time)}}};
  };
  ASSERT_TRUE(extract(TarWriter()
                          .add(timed("directory/", '5', "-1.25"))
                          .add(timed("directory/file", '0', "1.000000001"))
                          .add(timed("link", '2', "-86400"))
                          .add(timed("fifo", '6', "4102444800.5"))
                          .finish()));
  EXPECT_EQ(status("directory").st_mtim.tv_sec, -2);
  EXPECT_EQ(status("directory").st_mtim.tv_nsec, 750'000'000);
  EXPECT_EQ(status("directory/file").st_mtim.tv_sec, 1);
  EXPECT_EQ(status("directory/file").st_mtim.tv_nsec, 1);
  EXPECT_EQ(status("link").st_mtim.tv_sec, -86400);
  EXPECT_EQ(status("fifo").st_mtim.tv_sec, 4102444800);
}

TEST_F(Extract, TheLastEntryOfADirectoryCounts) {
  ASSERT_TRUE(
      extract(TarWriter()
                  .add({.name = "d/", .type = '5', .mode = 0777, .pax = {{"mtime", "1"}}})
                  .file("d/file", "x")
                  .add({.name = "d/", .type = '5', .mode = 0700, .uid = 5, .pax = {{"mtime", "2"}}})
                  .finish()));
  EXPECT_EQ(status("d").st_mtim.tv_sec, 2);
  EXPECT_EQ(status("d").st_mode & 07777, 0700U);
  EXPECT_EQ(status("d").st_uid, 5U);
  EXPECT_EQ(read("d/file"), "x");
}

// What is made in a directory that hands on its group, its ACL or its file system's habit has to be as
// the archive says nevertheless.
TEST_F(Extract, NothingIsInherited) {
  ASSERT_TRUE(extract(TarWriter()
                          .add({.name = "common/", .type = '5', .mode = 02775, .gid = 50})
                          .file("common/file", "x")
                          .directory("common/inner/")
                          .symlink("common/link", "file")
                          .file("beside", "x")
                          .finish()));
  EXPECT_EQ(status("common").st_mode & 07777, 02775U);
  for (const char* name : {"common/file", "common/inner", "common/link", "beside"})
    EXPECT_EQ(status(name).st_gid, 0U) << name;
  EXPECT_EQ(status("common/inner").st_mode & 07777, 0755U);
}

// Version 2; owner, a named user 1000, group, mask, others.
std::string acl() {
  std::string bytes("\x02\x00\x00\x00", 4);
  const auto add = [&](char tag, char permissions, std::uint32_t id) {
    bytes += {tag, '\0', permissions, '\0'};
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift);
  };
  add(0x01, 7, 0xFFFFFFFF);
  add(0x02, 7, 1000);
  add(0x04, 5, 0xFFFFFFFF);
  add(0x10, 7, 0xFFFFFFFF);
  add(0x20, 5, 0xFFFFFFFF);
  return bytes;
}

TEST_F(Extract, KeepsAclsAsOtherEnginesDoAndInheritsNone) {
  const auto report =
      extract(TarWriter()
                  .add({.name = "d/",
                        .type = '5',
                        .mode = 0775,
                        .pax = {{"SCHILY.xattr.system.posix_acl_access", acl()},
                                {"SCHILY.xattr.system.posix_acl_default", acl()}}})
                  .file("d/plain", "x")
                  .directory("d/inner/")
                  .add({.name = "d/own",
                        .content = "x",
                        .mode = 0770,
                        .pax = {{"SCHILY.xattr.system.posix_acl_access", acl()},
                                {"SCHILY.acl.access", "user::rwx,group::---,other::---"}}})
                  .finish());
  ASSERT_TRUE(report) << report.error().message();
  if (report->skipped_attributes != 0) GTEST_SKIP() << "no ACLs on this file system";
  EXPECT_EQ(attribute("d", "system.posix_acl_access"), acl());
  EXPECT_EQ(attribute("d", "system.posix_acl_default"), acl());
  EXPECT_EQ(attribute("d/own", "system.posix_acl_access"), acl());
  for (const char* name : {"d/plain", "d/inner"}) {
    EXPECT_EQ(attribute(name, "system.posix_acl_access"), "(none)") << name;
    EXPECT_EQ(attribute(name, "system.posix_acl_default"), "(none)") << name;
  }
  EXPECT_EQ(status("d/plain").st_mode & 07777, 0644U);
}

TEST_F(Extract, RefusesAnAclThatIsNone) {
  const auto with = [this](const std::string& value) {
    return extract(TarWriter()
                       .add({.name = "f", .pax = {{"SCHILY.xattr.system.posix_acl_access", value}}})
                       .finish());
  };
  std::string wrong = acl();
  wrong[4] = 0x77;  // a tag that nobody knows
  EXPECT_FALSE(with(wrong));
  // Of another version, which the kernel has none of: left out, and said so.
  const auto report = with("no acl at all");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->skipped_attributes, 1U);
}

TEST_F(Extract, KeepsHolesHoles) {
  const std::string map = "0,4,1048576,4";
  ASSERT_TRUE(extract(TarWriter()
                          .add({.name = "sparse",
                                .content = "headtail",
                                .pax = {{"GNU.sparse.size", "4194304"}, {"GNU.sparse.map", map}}})
                          .finish()));
  EXPECT_EQ(status("sparse").st_size, 4 << 20);
  EXPECT_LT(status("sparse").st_blocks * 512, 1 << 20);
  const std::string content = testing::whole_file(layer_.get(), "sparse");
  ASSERT_EQ(content.size(), 4U << 20);
  EXPECT_EQ(content.substr(0, 4), "head");
  EXPECT_EQ(content.substr(1 << 20, 4), "tail");
  EXPECT_EQ(std::count(content.begin(), content.end(), '\0'), (4 << 20) - 8);
}

// A hole costs nothing on the disk, but who reads the file pays for it.
TEST_F(Extract, CountsHolesAgainstTheLimit) {
  const std::string tar =
      TarWriter()
          .add({.name = "huge",
                .content = "x",
                .pax = {{"GNU.sparse.size", "1099511627776"}, {"GNU.sparse.map", "0,1"}}})
          .finish();
  EXPECT_FALSE(extract(tar));
  ExtractLimits limits;
  limits.bytes = std::uint64_t{2} << 40;
  EXPECT_TRUE(extract(tar, limits)) << "it is the limit that stops it";
}

TEST_F(Extract, KeepsSetuidBitsAndFileCapabilitiesThroughAChangeOfOwner) {
  const std::string capability(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  ASSERT_TRUE(extract(TarWriter()
                          .add({.name = "ping",
                                .content = "x",
                                .mode = 06755,
                                .uid = 3,
                                .gid = 4,
                                .pax = {{"SCHILY.xattr.security.capability", capability}}})
                          .finish()));
  EXPECT_EQ(status("ping").st_mode & 07777, 06755U);
  EXPECT_EQ(attribute("ping", "security.capability").substr(0, 8), capability.substr(0, 8));
}

TEST_F(Extract, DoesNotDependOnTheUmask) {
  const mode_t before = ::umask(077);
  const auto report =
      extract(TarWriter()
                  .file("file", "x", 0666)
                  .directory("d/", 0777)
                  .add({.name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3})
                  .finish());
  ::umask(before);
  ASSERT_TRUE(report);
  for (const char* name : {"file", "null"}) EXPECT_EQ(status(name).st_mode & 07777, 0666U) << name;
  EXPECT_EQ(status("d").st_mode & 07777, 0777U);
}

}  // namespace
}  // namespace bulkhead::storage
