#include "runtime/external_mounts.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <map>

namespace bulkhead::runtime {
namespace {

using Origin = ExternalMount::Origin;

class Resolver final : public DestinationResolver {
 public:
  std::map<std::string, std::string> links;
  std::string resolve(const std::string& destination) const override {
    const auto link = links.find(destination);
    return link == links.end() ? destination : link->second;
  }
};

const std::uint64_t kNullDevice = makedev(0, 5);

oci::Spec spec_with(std::vector<oci::Mount> mounts) {
  oci::Spec spec;
  spec.mounts = {{.destination = "/proc", .type = "proc"},
                 {.destination = "/dev", .type = "tmpfs"}};
  spec.mounts.insert(spec.mounts.end(), mounts.begin(), mounts.end());
  return spec;
}

TEST(MountEntries, AreReadWithTheirEscapes) {
  const auto entries = parse_mount_entries(
      "36 35 98:3 /mnt1 /mnt\\0402\\134x rw,noatime,idmapped master:1 - ext3 /dev/root rw\n"
      "\n37 x 98 / /bad rw - a b c\nno line\n38 36 0:22 / /proc rw - proc proc rw\n");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].id, 36);
  EXPECT_EQ(entries[0].device, makedev(98, 3));
  EXPECT_EQ(entries[0].mount_point, "/mnt 2\\x");
  EXPECT_TRUE(entries[0].idmapped);
  EXPECT_EQ(entries[1].mount_point, "/proc");
  EXPECT_FALSE(entries[1].idmapped);
}

TEST(ExternalMounts, AreTheBindMountsAndWhatIsBeneathTheirSources) {
  const oci::Spec spec = spec_with({{.destination = "/data", .type = "bind", .source = "/srv"},
                                    {.destination = "/data/own", .type = "tmpfs"},
                                    {.destination = "/gone", .type = "bind", .source = "/g"}});
  const auto found = find_external_mounts(
      spec,
      {{1, 1, "/"}, {2, 2, "/proc"}, {3, 3, "/data"}, {4, 4, "/data/sub"}, {5, 5, "/data/own"}},
      kNullDevice, Resolver());
  ASSERT_TRUE(found);
  const std::vector<ExternalMount> expected = {{Origin::kConfigured, "/data", "/data", ""},
                                               {Origin::kConfigured, "/data/sub", "/data", "/sub"}};
  EXPECT_EQ(*found, expected);
}

TEST(ExternalMounts, AreFoundBehindSymbolicLinksOfTheImage) {
  const oci::Spec spec =
      spec_with({{.destination = "/var/run/s", .source = "/s", .options = {"rbind"}}});
  Resolver resolver;
  resolver.links["/var/run/s"] = "/run/s";
  const auto found = find_external_mounts(spec, {{3, 3, "/run/s"}}, kNullDevice, resolver);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front(), (ExternalMount{Origin::kConfigured, "/run/s", "/var/run/s", ""}));
  EXPECT_EQ(source_of(found->front(), spec, "/b"), "/s");
}

TEST(ExternalMounts, AreMaskedFilesButNotMaskedDirectories) {
  oci::Spec spec = spec_with({});
  spec.linux_.masked_paths = {"/proc/kcore", "/sys/firmware"};
  const auto found = find_external_mounts(
      spec, {{1, kNullDevice, "/proc/kcore"}, {2, 77, "/sys/firmware"}}, kNullDevice, Resolver());
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().origin, Origin::kNullDevice);
  EXPECT_EQ(source_of(found->front(), spec, "/b"), "/dev/null");
}

TEST(ExternalMounts, AreDevicesThatWereBound) {
  oci::Spec spec = spec_with({});
  spec.linux_.devices = {{.type = "c", .path = "/dev/fuse"}};
  const auto found = find_external_mounts(
      spec, {{1, kNullDevice, "/dev/null"}, {2, kNullDevice, "/dev/fuse"}, {3, 9, "/dev/pts"}},
      kNullDevice, Resolver());
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(source_of((*found)[1], spec, "/b"), "/dev/fuse");
  // A checkpoint cannot make a restore bind what its configuration does not give.
  EXPECT_FALSE(source_of({Origin::kHostDevice, "/dev/mem", "", ""}, spec, "/b"));
  EXPECT_FALSE(source_of({Origin::kConfigured, "/x", "/etc", ""}, spec, "/b"));
}

TEST(ExternalMounts, ThatAreIdmappedAreRefused) {
  const auto found =
      find_external_mounts(spec_with({}), {{1, 2, "/data", true}}, kNullDevice, Resolver());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(found.error().message().find("/data"), std::string::npos);
}

TEST(ExternalMounts, OfAnotherRuntimesCheckpointArePresumed) {
  oci::Spec spec = spec_with({{.destination = "/data/", .type = "bind", .source = "volume"}});
  spec.linux_.masked_paths = {"/proc/kcore"};
  const auto presumed = presumed_external_mounts(spec);
  const auto has = [&](std::string_view path, std::string_view source) {
    for (const ExternalMount& mount : presumed)
      if (mount.mount_point == path) return source_of(mount, spec, "/bundle") == source;
    return false;
  };
  EXPECT_TRUE(has("/data", "/bundle/volume"));
  EXPECT_TRUE(has("/proc/kcore", "/dev/null"));
  EXPECT_TRUE(has("/dev/tty", "/dev/tty"));
}

}  // namespace
}  // namespace bulkhead::runtime
