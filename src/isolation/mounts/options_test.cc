#include "isolation/mounts/options.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include "sys/uapi.h"

namespace bulkhead::isolation {
namespace {

TEST(MountOptions, AttributesPropagationAndDataAreToldApart) {
  const auto options = parse_mount_options(
      {"nosuid", "noexec", "rprivate", "size=64k", "mode=755", "rbind", "noswap"});
  EXPECT_EQ(options.set, std::uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC});
  EXPECT_EQ(options.propagation, std::uint64_t{MS_PRIVATE});
  EXPECT_TRUE(options.propagation_recursive);
  EXPECT_TRUE(options.bind);
  EXPECT_TRUE(options.recursive_bind);
  EXPECT_EQ(options.joined_data(), "size=64k,mode=755,noswap");
}

TEST(MountOptions, ALaterOptionTakesBackAnEarlierOne) {
  const auto options =
      parse_mount_options({"ro", "nosuid", "rw", "sync", "async", "noatime", "relatime"});
  EXPECT_EQ(options.set, std::uint64_t{MOUNT_ATTR_NOSUID});
  EXPECT_NE(options.clear & MOUNT_ATTR_RDONLY, 0U);
  EXPECT_EQ(options.super_flags, 0U);
}

TEST(MountOptions, RecursiveOnesAreKeptApart) {
  const auto options = parse_mount_options(
      {"rro", "rnosuid", "rnodev", "rnoexec", "rrelatime", "rnoatime", "rdev", "rnosymfollow"});
  EXPECT_EQ(options.set, 0U);
  EXPECT_EQ(options.recursive_set,
            std::uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC |
                          MOUNT_ATTR_NOATIME | MOUNT_ATTR_NOSYMFOLLOW});
  EXPECT_NE(options.recursive_clear & MOUNT_ATTR_NODEV, 0U);
  EXPECT_TRUE(options.data.empty());
}

TEST(MountOptions, EveryNamedOptionIsKnown) {
  for (const char* word : {"async",
                           "atime",
                           "bind",
                           "defaults",
                           "dev",
                           "diratime",
                           "dirsync",
                           "exec",
                           "iversion",
                           "lazytime",
                           "loud",
                           "mand",
                           "noatime",
                           "nodev",
                           "nodiratime",
                           "noexec",
                           "noiversion",
                           "nolazytime",
                           "nomand",
                           "norelatime",
                           "nostrictatime",
                           "nosuid",
                           "nosymfollow",
                           "private",
                           "ratime",
                           "rbind",
                           "rdev",
                           "rdiratime",
                           "relatime",
                           "remount",
                           "rexec",
                           "rnoatime",
                           "rnodev",
                           "rnodiratime",
                           "rnoexec",
                           "rnorelatime",
                           "rnostrictatime",
                           "rnosuid",
                           "rnosymfollow",
                           "ro",
                           "rprivate",
                           "rrelatime",
                           "rro",
                           "rrw",
                           "rshared",
                           "rslave",
                           "rstrictatime",
                           "rsuid",
                           "rsymfollow",
                           "runbindable",
                           "rw",
                           "shared",
                           "silent",
                           "slave",
                           "strictatime",
                           "suid",
                           "symfollow",
                           "sync",
                           "tmpcopyup",
                           "unbindable",
                           "idmap",
                           "ridmap"})
    EXPECT_TRUE(parse_mount_options({word}).data.empty()) << word;
}

TEST(MountOptions, ClassicFlagsSayTheSame) {
  const auto options =
      parse_mount_options({"ro", "nosuid", "nodev", "noexec", "noatime", "dirsync", "lazytime"});
  EXPECT_EQ(classic_flags(options),
            static_cast<unsigned long>(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
                                       MS_DIRSYNC | MS_LAZYTIME));
}

TEST(MountOptions, NamesAreThoseOfTheSpecification) {
  EXPECT_EQ(attribute_names(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV), "ro,nodev");
  EXPECT_EQ(propagation_name(MS_SLAVE, true), "rslave");
  EXPECT_EQ(propagation_name(0, false), "");
  EXPECT_FALSE(parse_propagation("rslaves"));
}

}  // namespace
}  // namespace bulkhead::isolation
