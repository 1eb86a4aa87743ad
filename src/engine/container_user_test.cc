#include "engine/container_user.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "app:x:1000:2000::/home/app:/bin/sh\n"
    "broken\n"
    "minus:x:-1:-1::/:\n"
    "1000:x:0:0:an alias that is a number:/:/bin/sh\n"
    "huge:x:4294967296:0::/:\n"
    "beyond:x:70000:0::/:\n";
constexpr const char* kGroup =
    "root:x:0:\n"
    "staff:x:50:app,other\n"
    "audio:x:29:other\n"
    "own:x:2000:app\n";

Result<std::optional<std::string>> read(const char* name) {
  return std::string(name) == "passwd" ? kPasswd : kGroup;
}
Result<std::optional<std::string>> read_nothing(const char*) { return std::nullopt; }
Result<std::optional<std::string>> read_badly(const char*) {
  return fail(ErrorKind::kInvalid, "/etc/passwd is a symbolic link");
}

oci::User resolved(std::string_view text, const ReadUserFile& from = read) {
  auto user = resolve_user(text, "--user", from);
  EXPECT_TRUE(user) << text << ": " << (user ? "" : user.error().message());
  return user ? *user : oci::User{ContainerUid(99), ContainerGid(99)};
}

TEST(ContainerUser, IsRootByDefault) {
  EXPECT_EQ(resolved("").uid, ContainerUid(0));
  EXPECT_EQ(resolved("").gid, ContainerGid(0));
}

TEST(ContainerUser, TakesNumbersAsTheyAre) {
  EXPECT_EQ(resolved("1000:1000").uid, ContainerUid(1000));
  EXPECT_EQ(resolved("1000:1000").gid, ContainerGid(1000));
  EXPECT_TRUE(resolved("1000:1000").additional_gids.empty());
  EXPECT_EQ(resolved("65535:65535", read_nothing).uid, ContainerUid(65535));
  // Not even a hostile passwd file is in the way of a number.
  EXPECT_EQ(resolved("1000", read_badly).uid, ContainerUid(1000));
}

TEST(ContainerUser, FindsTheGroupsOfANumber) {
  const oci::User user = resolved("1000");
  EXPECT_EQ(user.uid, ContainerUid(1000));
  EXPECT_EQ(user.gid, ContainerGid(2000));
  EXPECT_EQ(user.additional_gids, std::vector<ContainerGid>{ContainerGid(50)});
}

TEST(ContainerUser, FindsNames) {
  EXPECT_EQ(resolved("app").uid, ContainerUid(1000));
  EXPECT_EQ(resolved("app").gid, ContainerGid(2000));
  EXPECT_EQ(resolved("app:audio").gid, ContainerGid(29));
  EXPECT_EQ(resolved("app:7").gid, ContainerGid(7));
}

TEST(ContainerUser, NeverTakesDigitsForAName) {
  EXPECT_EQ(resolved("1000").uid, ContainerUid(1000)) << "an entry named 1000 is root's alias";
}

TEST(ContainerUser, RefusesWhatWouldWrapAroundOrDoesNotExist) {
  for (const char* text : {"2147483648", "4294967295", "4294967296",   "18446744073709551616",
                           "65536",      "0:65536",    "0:4294967296", "-1",
                           "+1",         "0x0",        "1.0",          "1000:",
                           ":",          ":0",         "nobody-there", "app:nobody-there",
                           "minus",      "huge",       "beyond",       "1000:1000:1000"})
    EXPECT_FALSE(resolve_user(text, "--user", read)) << text;
}

TEST(ContainerUser, NeedsTheFilesForNamesOnly) {
  EXPECT_FALSE(resolve_user("app", "--user", read_nothing));
  EXPECT_FALSE(resolve_user("app", "--user", read_badly));
}

}  // namespace
}  // namespace bulkhead::engine
