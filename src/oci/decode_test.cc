#include "oci/decode.h"

#include <gtest/gtest.h>

#include "oci/encode.h"
#include "oci/testing.h"
#include "oci/validate.h"

namespace bulkhead::oci {
namespace {

constexpr std::string_view kHead = R"({"ociVersion":"1.3.0","root":{"path":"rootfs"},)";

std::string with(std::string_view members) {
  return std::string(kHead).append(members).append("}");
}

std::string error_of(std::string_view text) {
  const auto spec = decode_spec(text);
  if (spec) return "accepted";
  EXPECT_EQ(spec.error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(spec.error().hint().empty());
  return spec.error().message();
}

TEST(DecodeSpec, ReadsTheGoodExamplesOfTheSpecification) {
  for (const auto& path : files_of("runtime-spec/schema/test/config/good")) {
    const auto spec = decode_spec(read_test_data(path));
    EXPECT_TRUE(spec.has_value()) << path << ": " << (spec ? "" : spec.error().message());
  }
}

TEST(DecodeSpec, RefusesTheBadExamplesOfTheSpecification) {
  for (const auto& path : files_of("runtime-spec/schema/test/config/bad")) {
    if (path.filename() == "freebsd-vnet-disable.json")
      continue;  // a section that is not read here
    const auto spec = decode_spec(read_test_data(path));
    EXPECT_FALSE(spec.has_value() && validate(*spec).has_value()) << path;
  }
}

TEST(DecodeSpec, ReadsEveryFieldOfTheExample) {
  const auto decoded = decode_spec(
      read_test_data(test_data("runtime-spec/schema/test/config/good/spec-example.json")));
  ASSERT_TRUE(decoded.has_value());
  const Spec& spec = *decoded;
  EXPECT_EQ(spec.oci_version, "0.5.0-dev");
  EXPECT_TRUE(spec.process->terminal);
  EXPECT_EQ(spec.process->user.uid, ContainerUid(1));
  EXPECT_EQ(spec.process->user.additional_gids[1], ContainerGid(6));
  EXPECT_EQ(spec.process->capabilities->effective.size(), 2U);
  EXPECT_EQ(spec.process->rlimits[1].hard, 1024U);
  EXPECT_EQ(spec.process->apparmor_profile, "acme_secure_profile");
  EXPECT_TRUE(spec.process->no_new_privileges);
  EXPECT_TRUE(spec.root->readonly);
  EXPECT_EQ(spec.domainname, "foobarbaz.test");
  EXPECT_EQ(spec.mounts.size(), 7U);
  EXPECT_EQ(spec.mounts[2].options[5], "gid=5");
  EXPECT_EQ(spec.hooks->poststart[0].timeout, 5);
  EXPECT_EQ(spec.linux_.devices[1].type, "b");
  EXPECT_EQ(spec.linux_.devices[0].file_mode, 438U);
  EXPECT_EQ(spec.linux_.namespaces[7].type, NamespaceType::kTime);
  EXPECT_EQ(spec.linux_.uid_mappings[0], (IdMapping{0, 1000, 32000}));
  EXPECT_EQ(spec.linux_.time_offsets.at("boottime").secs, 604800);
  EXPECT_EQ(spec.linux_.sysctl.at("net.core.somaxconn"), "256");
  const Resources& resources = *spec.linux_.resources;
  EXPECT_EQ(resources.pids_limit, 32771);
  EXPECT_EQ(resources.memory->kernel, -1);
  EXPECT_EQ(resources.cpu->burst, 1000000U);
  EXPECT_EQ(resources.block_io->weight_device[0].leaf_weight, 300);
  EXPECT_EQ(resources.network->priorities[1].priority, 1000U);
  EXPECT_EQ(resources.devices[0].type, "a");
  EXPECT_EQ(resources.hugepage_limits[0].limit, 9223372036854772000U);
  EXPECT_EQ(spec.linux_.seccomp->syscalls[0].names[1], "chmod");
  EXPECT_EQ(spec.annotations.at("com.example.key2"), "value2");
  EXPECT_EQ(spec.unknown_fields, std::vector<std::string>{"/linux/resources/oomScoreAdj"});
}

TEST(DecodeSpec, ReadsAndValidatesWhatAnEngineWrites) {
  const auto spec = decode_spec(read_test_data(test_data("runtime-spec/engine/podman.json")));
  ASSERT_TRUE(spec.has_value()) << spec.error().message();
  EXPECT_TRUE(spec->unknown_fields.empty());
  EXPECT_TRUE(validate(*spec).has_value());
  EXPECT_EQ(spec->process->user.umask, 18U);
  EXPECT_EQ(spec->linux_.seccomp->default_errno_ret, 38U);
}

TEST(DecodeSpec, ListsUnknownFieldsAndSectionsOfOtherPlatforms) {
  const auto spec = decode_spec(with(
      R"("vm":{"kernel":{"path":"/k"},"hwConfig":{"vcpus":2,"irqs":[1]}},"windows":{},"process":{"cwd":"/",)"
      R"("commandLine":"x","user":{"uid":0,"gid":0,"username":"u","a/b":1}},"linux":{"namespaces":[{"type":"pid","x":0}],)"
      R"("resources":{"pids":{"limit":1,"more":2}},"intelRdt":{"enableCMT":true}})"));
  ASSERT_TRUE(spec.has_value()) << spec.error().message();
  EXPECT_EQ(spec->unknown_fields,
            (std::vector<std::string>{"/process/user/username", "/process/user/a~1b",
                                      "/process/commandLine", "/linux/namespaces/0/x",
                                      "/linux/resources/pids/more", "/linux/intelRdt/enableCMT",
                                      "/vm", "/windows"}));
}

TEST(DecodeSpec, ListsOnlyAFewOfAMillionUnknownFields) {
  std::string members;
  for (int i = 0; i < 100000; ++i) members += "\"u" + std::to_string(i) + "\":0,";
  const auto spec = decode_spec(with(members + "\"hostname\":\"h\""));
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->unknown_fields.size(), 256U);
  EXPECT_EQ(spec->hostname, "h");
}

TEST(DecodeSpec, TakesNullForAbsent) {
  const auto spec = decode_spec(with(
      R"("mounts":null,"process":null,"hooks":null,"annotations":null,"linux":{"resources":{"pids":null}})"));
  ASSERT_TRUE(spec.has_value()) << spec.error().message();
  EXPECT_FALSE(spec->process.has_value());
  EXPECT_EQ(error_of(R"({"ociVersion":null})"), "/ociVersion is required, but absent");
}

struct BadCase {
  std::string_view members;
  std::string_view error;
};

TEST(DecodeSpec, NamesTheFieldThatIsWrong) {
  const BadCase cases[] = {
      {R"("process":{})", "/process/cwd is required, but absent"},
      {R"("process":{"cwd":1})", "/process/cwd must be a string, not 1"},
      {R"("process":[])", "/process must be an object, not an array"},
      {R"("mounts":[{"destination":"/a"},{}])", "/mounts/1/destination is required, but absent"},
      {R"("mounts":{})", "/mounts must be an array, not an object"},
      {R"("mounts":[null])", "/mounts/0 must be an object, not null"},
      {R"("mounts":[{"destination":"/a","options":["a",true]}])",
       "/mounts/0/options/1 must be a string, not a boolean"},
      {R"("hostname":"a\u0000b")",
       "/hostname holds a NUL character, at which the kernel would cut it off"},
      {R"("linux":{"sysctl":{"a\u0000b":"1"}})",
       "/linux/sysctl/a\\x00b holds a NUL character in its name"},
      {R"("linux":{"namespaces":[{"type":"net"}]})",
       "/linux/namespaces/0/type is \"net\", which is no type of namespace"},
      {R"("linux":{"resources":{"pids":{}}})",
       "/linux/resources/pids/limit is required, but absent"},
      {R"("linux":{"resources":{"pids":7}})", "/linux/resources/pids must be an object, not 7"},
      {R"("annotations":{"a":1})", "/annotations/a must be a string, not 1"},
      {R"("root":{"path":"x"})", "/root: the key stands twice in one object"},
  };
  for (const auto& [members, error] : cases) EXPECT_EQ(error_of(with(members)), error) << members;
}

TEST(DecodeSpec, ChecksTheRangeOfIntegers) {
  const auto uid = [](std::string_view number) {
    return error_of(with(
        std::string(R"("process":{"cwd":"/","user":{"gid":0,"uid":)").append(number).append("}}")));
  };
  const std::string range = "/process/user/uid must be a whole number from 0 to 4294967295, not ";
  EXPECT_EQ(uid("4294967295"), "accepted");  // refused by validate()
  EXPECT_EQ(uid("-1"), range + "-1");
  EXPECT_EQ(uid("4294967296"), range + "4294967296");
  EXPECT_EQ(uid("18446744073709551616"), range + "18446744073709551616");
  EXPECT_EQ(uid("1.9"), range + "1.9");
  EXPECT_EQ(uid("1e3"), range + "1e3");
  EXPECT_EQ(uid("1.0"), range + "1.0");
  EXPECT_EQ(uid("\"0\""), range + "the string \"0\"");
  EXPECT_EQ(uid("true"), range + "a boolean");
  EXPECT_EQ(
      error_of(with(R"("process":{"cwd":"/","oomScoreAdj":2147483648})")),
      "/process/oomScoreAdj must be a whole number from -2147483648 to 2147483647, not 2147483648");
  EXPECT_EQ(error_of(with(R"("linux":{"resources":{"blockIO":{"weight":65536}}})")),
            "/linux/resources/blockIO/weight must be a whole number from 0 to 65535, not 65536");
  EXPECT_EQ(error_of(with(R"("linux":{"resources":{"memory":{"limit":9223372036854775808}}})")),
            "/linux/resources/memory/limit must be a whole number from -9223372036854775808 to "
            "9223372036854775807, not 9223372036854775808");
}

TEST(DecodeSpec, TellsAbsentFromEmptyMappingsOfAMount) {
  const auto spec = decode_spec(with(
      R"("mounts":[{"destination":"/a"},{"destination":"/b","uidMappings":[],"gidMappings":[]}])"));
  ASSERT_TRUE(spec.has_value());
  EXPECT_FALSE(spec->mounts[0].uid_mappings.has_value());
  EXPECT_TRUE(spec->mounts[1].uid_mappings.has_value() && spec->mounts[1].uid_mappings->empty());
  EXPECT_NE(encode(*spec).find(R"({"destination":"/b","uidMappings":[],"gidMappings":[]})"),
            std::string::npos);
}

TEST(DecodeSpec, KeepsNulInAnnotationsWhichAreNoCStrings) {
  const auto spec = decode_spec(with(R"("annotations":{"k":"a\u0000b"})"));
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->annotations.at("k"), std::string_view("a\0b", 3));
}

TEST(DecodeProcess, ReadsAProcessAlone) {
  std::vector<std::string> unknown;
  const auto process = decode_process(R"({"cwd":"/","args":["id"],"x":1})", &unknown);
  ASSERT_TRUE(process.has_value());
  EXPECT_EQ(process->args, std::vector<std::string>{"id"});
  EXPECT_EQ(unknown, std::vector<std::string>{"/x"});
  EXPECT_EQ(decode_process("[]").error().message(), "the document must be an object, not an array");
}

TEST(DecodeResources, ReadsResourcesAlone) {
  const auto resources = decode_resources(
      R"({"pids":{"limit":-1},"unified":{"memory.high":"1"},"rdma":{"mlx5_1":{"hcaHandles":3}},)"
      R"("cpu":{"idle":1},"memory":{"checkBeforeUpdate":true}})");
  ASSERT_TRUE(resources.has_value());
  EXPECT_EQ(resources->pids_limit, -1);
  EXPECT_EQ(resources->unified.at("memory.high"), "1");
  EXPECT_EQ(resources->rdma.at("mlx5_1").hca_handles, 3U);
  EXPECT_EQ(resources->cpu->idle, 1);
  EXPECT_EQ(resources->memory->check_before_update, true);
}

// --- golden round trips ------------------------------------------------------------------------

std::string once_round(const std::string& text) {
  const auto spec = decode_spec(text);
  return spec ? encode(*spec, json::Style::kIndented) : spec.error().message();
}

TEST(EncodeSpec, GivesBackWhatWasDecoded) {
  for (const std::string directory :
       {"runtime-spec/schema/test/config/good", "runtime-spec/engine"}) {
    for (const auto& path : files_of(directory)) {
      const std::string once = once_round(read_test_data(path));
      EXPECT_EQ(once_round(once), once) << path;
    }
  }
}

TEST(EncodeSpec, WritesCanonicalTextUnchanged) {
  const std::string text = read_test_data(test_data("runtime-spec/golden/everything.json"));
  EXPECT_EQ(once_round(text) + "\n", text);
}

TEST(EncodeSpec, LeavesOutWhatIsAbsent) {
  Spec spec;
  spec.oci_version = "1.3.0";
  EXPECT_EQ(encode(spec), R"({"ociVersion":"1.3.0","linux":{}})");
}

}  // namespace
}  // namespace bulkhead::oci
