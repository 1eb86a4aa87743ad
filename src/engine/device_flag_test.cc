#include "engine/device_flag.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>

#include "engine/cdi.h"

namespace bulkhead::engine {
namespace {

TEST(DeviceFlag, ReadsDevices) {
  const auto device = parse_device("/dev/sda:/dev/xvdc:r");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->host, "/dev/sda");
  EXPECT_EQ(device->container, "/dev/xvdc");
  EXPECT_EQ(device->access, "r");
  EXPECT_EQ(parse_device("/dev/fuse")->container, "/dev/fuse");
  EXPECT_EQ(parse_device("/dev/fuse:rw")->access, "rw") << "as Docker reads two parts";
  EXPECT_EQ(parse_device("/dev/fuse:rw")->container, "/dev/fuse");
  for (const char* text : {"", "fuse", "/etc/passwd", "/dev/", "/dev/../etc/passwd", "/dev/fuse:x",
                           "/dev/fuse:/dev/x:", "/dev/fuse:/dev/x:q", "/dev/fuse:/:r",
                           "/dev/fuse:/dev/../x", "/dev/a:/dev/b:r:w", "/dev/fuse:"})
    EXPECT_FALSE(parse_device(text)) << text;
  using namespace std::string_view_literals;
  EXPECT_FALSE(parse_device("/dev/fuse\0x:m"sv));
}

TEST(DeviceFlag, ReadsRules) {
  const auto rule = parse_device_rule("c 189:* rw");
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->type, "c");
  EXPECT_EQ(rule->major, 189);
  EXPECT_FALSE(rule->minor);
  EXPECT_EQ(rule->access, "rw");
  for (const char* text : {"", "c", "c 1:3", "x 1:3 r", "c 1 r", "c 1:3 q", "c -1:3 r",
                           "c 1:3 rwmr", "c 1:3:4 r", "c  1:3 r"})
    EXPECT_FALSE(parse_device_rule(text)) << text;
}

TEST(DeviceFlag, ReadsGpusAsNamesOfCdi) {
  EXPECT_EQ(parse_gpus("all"), (std::vector<std::string>{"nvidia.com/gpu=all"}));
  EXPECT_EQ(parse_gpus("2"), (std::vector<std::string>{"nvidia.com/gpu=0", "nvidia.com/gpu=1"}));
  EXPECT_EQ(parse_gpus("\"device=0,GPU-3a23c669\""),
            (std::vector<std::string>{"nvidia.com/gpu=0", "nvidia.com/gpu=GPU-3a23c669"}));
  for (const char* text : {"", "0", "-1", "some", "device=", "capabilities=utility", "device=a/b"})
    EXPECT_FALSE(parse_gpus(text)) << text;
}

TEST(Cdi, KnowsItsNames) {
  for (const char* text : {"vendor.com/class=device", "nvidia.com/gpu=0", "a/b=c:d.e_f"})
    EXPECT_TRUE(is_cdi_name(text)) << text;
  for (const char* text : {"", "/dev/fuse", "vendor.com/class", "vendor.com/class=", "/class=x",
                           "vendor.com/=x", "vendor.com/cl/ass=x", "1vendor/class=x", "v/c=x y"})
    EXPECT_FALSE(is_cdi_name(text)) << text;
}

constexpr const char* kSpec = R"({
  "cdiVersion": "0.6.0", "kind": "example.com/net",
  "annotations": {"by": "hand"},
  "devices": [
    {"name": "one", "containerEdits": {
      "env": ["ONE=1"],
      "deviceNodes": [{"path": "/dev/net/one", "hostPath": "/dev/null", "permissions": "rw"}],
      "mounts": [{"hostPath": "/etc", "containerPath": "/x", "options": ["ro"]}],
      "hooks": [{"hookName": "createContainer", "path": "/bin/true", "args": ["true"]}],
      "additionalGids": [44]}},
    {"name": "two", "containerEdits": {"env": ["TWO=2"]}}],
  "containerEdits": {"env": ["ALL=1"]}})";

TEST(Cdi, ReadsFiles) {
  const auto spec = parse_cdi_spec(kSpec);
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->kind, "example.com/net");
  ASSERT_EQ(spec->devices.size(), 2U);
  const CdiEdits& edits = spec->devices[0].edits;
  EXPECT_EQ(edits.device_nodes[0].host_path, "/dev/null");
  EXPECT_EQ(edits.mounts[0].container_path, "/x");
  EXPECT_EQ(edits.hooks[0].hook_name, "createContainer");
  EXPECT_EQ(edits.additional_gids, (std::vector<std::uint32_t>{44}));
}

TEST(Cdi, RefusesFilesThatItDoesNotUnderstandWhole) {
  const auto with = [](std::string_view edits) {
    return parse_cdi_spec(
        R"({"cdiVersion":"0.6.0","kind":"a.b/c","devices":[{"name":"x","containerEdits":)" +
        std::string(edits) + "}]}");
  };
  EXPECT_TRUE(with("{}"));
  for (const char* edits :
       {R"({"intelRdt": {}})", R"({"env": ["X"]})", R"({"deviceNodes": [{"path": "relative"}]})",
        R"({"deviceNodes": [{"path": "/dev/x", "permissions": "q"}]})",
        R"({"mounts": [{"hostPath": "a", "containerPath": "/b"}]})",
        R"({"hooks": [{"hookName": "never", "path": "/bin/true"}]})",
        R"({"hooks": [{"hookName": "prestart", "path": "true"}]})", "[]", "1"})
    EXPECT_FALSE(with(edits)) << edits;
  EXPECT_FALSE(parse_cdi_spec(R"({"cdiVersion":"9","kind":"a.b/c","devices":[]})"));
  EXPECT_FALSE(parse_cdi_spec(R"({"cdiVersion":"0.6.0","kind":"c","devices":[]})"));
  EXPECT_FALSE(parse_cdi_spec("cdiVersion: 0.6.0"));
}

class CdiDirectories : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the files must be root's";
    char name[] = "/tmp/bulkhead-cdi-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    base_ = name;
    for (const char* each : {"low", "high"}) std::filesystem::create_directory(base_ / each);
    low_ = base_ / "low";
    high_ = base_ / "high";
  }
  void TearDown() override {
    if (!base_.empty()) std::filesystem::remove_all(base_);
  }
  static void write(const std::string& path, std::string_view text, mode_t mode = 0644) {
    std::FILE* const file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    ::chmod(path.c_str(), mode);
  }
  Result<CdiEdits> find(const std::vector<std::string>& names) const {
    const char* const directories[] = {low_.c_str(), high_.c_str()};
    return find_cdi_devices(names, directories);
  }
  std::filesystem::path base_;
  std::string low_, high_;
};

TEST_F(CdiDirectories, GiveEachDeviceItsFilesCommonEditsOnce) {
  write(low_ + "/a.json", kSpec);
  const auto edits = find({"example.com/net=one", "example.com/net=two", "example.com/net=one"});
  ASSERT_TRUE(edits) << edits.error().message();
  EXPECT_EQ(edits->env, (std::vector<std::string>{"ALL=1", "ONE=1", "TWO=2"}));
}

TEST_F(CdiDirectories, LetTheLaterOneWinAndRefuseDoubles) {
  write(low_ + "/a.json", kSpec);
  std::string changed = kSpec;
  changed.replace(changed.find("ONE=1"), 5, "ONE=9");
  write(high_ + "/b.json", changed);
  EXPECT_EQ(find({"example.com/net=one"})->env.back(), "ONE=9");
  write(high_ + "/c.json", changed);
  EXPECT_FALSE(find({"example.com/net=one"}));
}

TEST_F(CdiDirectories, SayWhatThereIs) {
  write(low_ + "/a.json", kSpec);
  const auto edits = find({"example.com/net=three"});
  ASSERT_FALSE(edits);
  EXPECT_EQ(edits.error().hint(), "of this kind there are: one two");
  write(high_ + "/gpu.yaml", "cdiVersion: 0.6.0\n");
  const auto yaml = find({"nvidia.com/gpu=all"});
  ASSERT_FALSE(yaml);
  EXPECT_NE(yaml.error().hint().find("is YAML"), std::string::npos) << yaml.error().hint();
}

TEST_F(CdiDirectories, AreTrustedOnlyWhereOthersCannotWrite) {
  write(low_ + "/a.json", kSpec, 0666);
  const auto edits = find({"example.com/net=one"});
  ASSERT_FALSE(edits);
  EXPECT_EQ(edits.error().kind(), ErrorKind::kPermission);
}

}  // namespace
}  // namespace bulkhead::engine
