#include "oci/validate.h"

#include <gtest/gtest.h>

#include "oci/decode.h"
#include "oci/testing.h"

namespace bulkhead::oci {
namespace {

// What validation says about a minimal configuration with `members` in it.
std::string verdict(std::string_view members, std::string_view version = "1.3.0") {
  std::string text = "{\"ociVersion\":\"" + std::string(version) + "\"";
  if (members.find("\"root\"") == std::string_view::npos) text += R"(,"root":{"path":"rootfs"})";
  if (!members.empty()) text += "," + std::string(members);
  const auto spec = decode_spec(text + "}");
  if (!spec) return "not decoded: " + spec.error().message();
  const auto valid = validate(*spec);
  if (valid) return "valid";
  EXPECT_EQ(valid.error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(valid.error().hint().empty()) << valid.error().message();
  return valid.error().message();
}

std::string linux_verdict(std::string_view members) {
  return verdict(std::string("\"linux\":{").append(members).append("}"));
}

std::string process_verdict(std::string_view members) {
  return verdict(std::string(R"("process":{)").append(members).append("}"));
}

std::string resources_verdict(std::string_view members) {
  return linux_verdict(std::string(R"("resources":{)").append(members).append("}"));
}

struct Case {
  std::string_view members;
  std::string_view message;  // begins with
};

template <class Verdict>
void expect_each(std::initializer_list<Case> cases, Verdict verdict_of) {
  for (const auto& [members, message] : cases) {
    const std::string said = verdict_of(members);
    EXPECT_TRUE(said.starts_with(message))
        << members << "\n  said:     " << said << "\n  expected: " << message;
  }
}

TEST(Validate, AcceptsTheMinimalExamplesOfTheSpecification) {
  for (const char* name : {"minimal.json", "minimal-for-start.json", "linux-rdma.json"}) {
    const auto spec =
        decode_spec(read_test_data(test_data("runtime-spec/schema/test/config/good") / name));
    ASSERT_TRUE(spec.has_value());
    EXPECT_TRUE(validate(*spec).has_value()) << name;
  }
}

TEST(Validate, AcceptsTheExampleOnceItsVersionIsAReleasedOne) {
  auto spec = decode_spec(
      read_test_data(test_data("runtime-spec/schema/test/config/good/spec-example.json")));
  ASSERT_TRUE(spec.has_value());
  EXPECT_FALSE(validate(*spec).has_value());  // 0.5.0-dev
  spec->oci_version = "1.0.0";
  const auto valid = validate(*spec);
  EXPECT_TRUE(valid.has_value()) << valid.error().message();
}

TEST(Validate, AcceptsVersionsOfTheFirstMajor) {
  for (const char* version :
       {"1.0.0", "1.0.2-dev", "1.1.0+dev", "1.2.1", "1.3.0", "1.3.7", "1.4.0", "1.99.0-rc.1"}) {
    EXPECT_EQ(verdict("", version), "valid") << version;
  }
  for (const char* version : {"", "1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0.0", "1.-1.0"}) {
    EXPECT_NE(verdict("", version).find("which is no semantic version"), std::string::npos)
        << version;
  }
  for (const char* version : {"0.5.0-dev", "2.0.0"}) {
    EXPECT_NE(verdict("", version).find("reads versions 1.0 to 1.3"), std::string::npos) << version;
  }
}

TEST(Validate, RefusesFieldsOfLaterVersionsThatItDoesNotKnow) {
  EXPECT_EQ(verdict(R"("shield":true)", "1.3.0"), "valid");
  EXPECT_EQ(
      verdict(R"("shield":true)", "1.4.0"),
      "/ociVersion is \"1.4.0\", which is newer than 1.3, and the field /shield is not known to "
      "this runtime");
}

TEST(Validate, ChecksRootHooksAndAnnotations) {
  expect_each(
      {{R"("root":null)", "/root is required"},
       {R"("root":{"path":""})", "/root/path is empty"},
       {R"("hooks":{"prestart":[{"path":"/a"},{"path":"b"}]})", "/hooks/prestart/1/path is \"b\""},
       {R"("hooks":{"poststop":[{"path":""}]})", "/hooks/poststop/0/path"},
       {R"("hooks":{"createContainer":[{"path":"/a","timeout":0}]})",
        "/hooks/createContainer/0/timeout must"},
       {R"("hooks":{"poststart":[{"path":"/a","timeout":-1}]})", "/hooks/poststart/0/timeout must"},
       {R"("hooks":{"startContainer":[{"path":"/a","timeout":1}]})", "valid"},
       {R"("annotations":{"":"x"})", "/annotations has an empty key"},
       {R"("annotations":{"x":""})", "valid"}},
      [](auto members) { return verdict(members); });
}

TEST(Validate, ChecksHostNames) {
  expect_each(
      {{R"("hostname":"h")", "/hostname is set, but the container has no uts namespace"},
       {R"("domainname":"d")", "/domainname is set, but"},
       {R"("hostname":"h","domainname":"d","linux":{"namespaces":[{"type":"uts"}]})", "valid"},
       {R"("hostname":"1234567890123456789012345678901234567890123456789012345678901234",)"
        R"("linux":{"namespaces":[{"type":"uts"}]})",
        "valid"},
       {R"("hostname":"12345678901234567890123456789012345678901234567890123456789012345",)"
        R"("linux":{"namespaces":[{"type":"uts"}]})",
        "/hostname is longer than the 64 bytes"}},
      [](auto members) { return verdict(members); });
}

TEST(Validate, ChecksMounts) {
  expect_each(
      {{R"("mounts":[{"destination":""}])", "/mounts/0/destination is empty"},
       {R"("mounts":[{"destination":"relative"}])", "valid"},
       {R"("mounts":[{"destination":"/a","uidMappings":[]}])", "/mounts/0/gidMappings is absent"},
       {R"("mounts":[{"destination":"/a","gidMappings":[]}])", "/mounts/0/uidMappings is absent"},
       {R"("mounts":[{"destination":"/a","options":["idmap"]}])",
        "/mounts/0/options ask for an id mapping"},
       {R"("mounts":[{"destination":"/a","options":["ridmap"],"uidMappings":[],"gidMappings":[]}])",
        "/mounts/0/options ask for"},
       {R"("mounts":[{"destination":"/a","options":["idmap"]}],"linux":{"namespaces":[{"type":"user"}]})",
        "valid"},
       {R"("mounts":[{"destination":"/a","uidMappings":[{"containerID":0,"hostID":0,"size":1}],"gidMappings":[]}])",
        "/mounts/0 has one empty"},
       {R"("mounts":[{"destination":"/a","uidMappings":[{"containerID":0,"hostID":0,"size":0}],)"
        R"("gidMappings":[{"containerID":0,"hostID":0,"size":1}]}])",
        "/mounts/0/uidMappings/0/size is zero"}},
      [](auto members) { return verdict(members); });
}

TEST(Validate, ChecksTheProcess) {
  expect_each(
      {{R"("cwd":"x","args":["a"])", "/process/cwd is \"x\", which is not an absolute path"},
       {R"("cwd":"","args":["a"])", "/process/cwd"},
       {R"("cwd":"/")", "/process/args is empty"},
       {R"("cwd":"/","args":[])", "/process/args is empty"},
       {R"("cwd":"/","args":[""])", "/process/args/0 is empty"},
       {R"("cwd":"/","args":["a",""])", "valid"},
       {R"("cwd":"/","args":["a"],"user":{"gid":0,"uid":4294967295})",
        "/process/user/uid is 4294967295"},
       {R"("cwd":"/","args":["a"],"user":{"uid":0,"gid":4294967295})",
        "/process/user/gid is 4294967295"},
       {R"("cwd":"/","args":["a"],"user":{"uid":0,"gid":0,"additionalGids":[1,4294967295]})",
        "/process/user/additionalGids/1 is"},
       {R"("cwd":"/","args":["a"],"user":{"uid":0,"gid":0,"umask":512})",
        "/process/user/umask is over"},
       {R"("cwd":"/","args":["a"],"user":{"uid":0,"gid":0,"umask":511})", "valid"},
       {R"("cwd":"/","args":["a"],"rlimits":[{"type":"A","hard":1,"soft":1},{"type":"B","hard":1,"soft":1},)"
        R"({"type":"A","hard":1,"soft":1}])",
        "/process/rlimits/2/type is \"A\", which is limited twice"},
       {R"("cwd":"/","args":["a"],"rlimits":[{"type":"A","hard":1,"soft":2}])",
        "/process/rlimits/0/soft is 2"},
       {R"("cwd":"/","args":["a"],"user":{"uid":0})", "not decoded: /process/user/gid is required"},
       {R"("cwd":"/","args":["a"],"env":["A=","B=a=b"])", "valid"},
       {R"("cwd":"/","args":["a"],"env":["A=1","B"])", "/process/env/1 is \"B\", not NAME=VALUE"},
       {R"("cwd":"/","args":["a"],"env":["=1"])", "/process/env/0 is \"=1\", not NAME=VALUE"},
       {R"("cwd":"/","args":["a"],"oomScoreAdj":1001)", "/process/oomScoreAdj is 1001"},
       {R"("cwd":"/","args":["a"],"oomScoreAdj":-1001)", "/process/oomScoreAdj is -1001"},
       {R"("cwd":"/","args":["a"],"oomScoreAdj":-1000)", "valid"},
       {R"("cwd":"/","args":["a"],"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8})",
        "/process/ioPriority/priority is 8"},
       {R"("cwd":"/","args":["a"],"execCPUAffinity":{"initial":"0-1,a"})",
        "/process/execCPUAffinity/initial is \"0-1,a\""}},
      process_verdict);
}

TEST(Validate, ChecksNamespaces) {
  expect_each(
      {{R"("namespaces":[{"type":"pid"},{"type":"user"},{"type":"pid"}])",
        "/linux/namespaces/2/type is \"pid\", which stands in the list already"},
       {R"("namespaces":[{"type":"pid","path":"proc/1/ns/pid"}])", "/linux/namespaces/0/path is"},
       {R"("namespaces":[{"type":"pid","path":"/proc/1/ns/pid"}])", "valid"},
       {R"("namespaces":[{"type":"pid","path":""}])", "valid"}},
      linux_verdict);
}

std::string mapping_verdict(std::string_view entries) {
  return linux_verdict(
      std::string(R"("namespaces":[{"type":"user"}],"uidMappings":[)").append(entries).append("]"));
}

TEST(Validate, ChecksIdMappings) {
  expect_each(
      {{R"({"containerID":0,"hostID":0,"size":4294967295})", "valid"},
       {R"({"containerID":4294967294,"hostID":4294967294,"size":1})", "valid"},
       {R"({"containerID":4294967295,"hostID":0,"size":1})",
        "/linux/uidMappings/0 runs over the last id"},
       {R"({"containerID":0,"hostID":4294967295,"size":1})", "/linux/uidMappings/0 runs over"},
       {R"({"containerID":2,"hostID":0,"size":4294967295})", "/linux/uidMappings/0 runs over"},
       {R"({"containerID":0,"hostID":0,"size":0})", "/linux/uidMappings/0/size is zero"},
       {R"({"containerID":0,"hostID":0,"size":10},{"containerID":10,"hostID":10,"size":10})",
        "valid"},
       {R"({"containerID":10,"hostID":0,"size":10},{"containerID":0,"hostID":10,"size":11})",
        "/linux/uidMappings/1 overlaps with entry 0 on the container's side"},
       {R"({"containerID":0,"hostID":5,"size":10},{"containerID":10,"hostID":0,"size":10})",
        "/linux/uidMappings/1 overlaps with entry 0 on the host's side"},
       {R"({"containerID":0,"hostID":0,"size":1},{"containerID":0,"hostID":1,"size":1})",
        "/linux/uidMappings/1 overlaps with entry 0 on the container's side"}},
      mapping_verdict);
  EXPECT_EQ(linux_verdict(R"("gidMappings":[{"containerID":0,"hostID":0,"size":1}])"),
            "/linux/gidMappings is set, but the container has no user namespace to map");
}

TEST(Validate, ChecksTimeOffsets) {
  expect_each(
      {{R"("timeOffsets":{"monotonic":{"secs":1}})",
        "/linux/timeOffsets is set, but the container has no time"},
       {R"("namespaces":[{"type":"time"}],"timeOffsets":{"monotonic":{"secs":-1}})", "valid"},
       {R"("namespaces":[{"type":"time"}],"timeOffsets":{"realtime":{"secs":1}})",
        "/linux/timeOffsets/realtime is no clock"},
       {R"("namespaces":[{"type":"time"}],"timeOffsets":{"boottime":{"nanosecs":1000000000}})",
        "/linux/timeOffsets/boottime/nanosecs is a second"},
       {R"("namespaces":[{"type":"time","path":"/x"}],"timeOffsets":{"boottime":{}})",
        "/linux/timeOffsets is set, but the time namespace is joined"}},
      linux_verdict);
}

TEST(Validate, ChecksDevices) {
  expect_each(
      {{R"("devices":[{"path":"/dev/a","type":"c","major":1,"minor":3}])", "valid"},
       {R"("devices":[{"path":"/dev/a","type":"p"}])", "valid"},
       {R"("devices":[{"path":"/dev/a","type":"x","major":1,"minor":3}])",
        "/linux/devices/0/type is \"x\""},
       {R"("devices":[{"path":"a","type":"p"}])", "/linux/devices/0/path is \"a\""},
       {R"("devices":[{"path":"/a","type":"c","minor":3}])", "/linux/devices/0/major is required"},
       {R"("devices":[{"path":"/a","type":"b","major":3}])", "/linux/devices/0/minor is required"},
       {R"("devices":[{"path":"/a","type":"c","major":-1,"minor":3}])",
        "/linux/devices/0 has a device number"},
       {R"("devices":[{"path":"/a","type":"c","major":1,"minor":1048576}])",
        "/linux/devices/0 has a device"},
       {R"("devices":[{"path":"/a","type":"p","fileMode":65536}])",
        "/linux/devices/0/fileMode is no mode"},
       {R"("devices":[{"path":"/a","type":"p","uid":4294967295}])",
        "/linux/devices/0 has the owner"}},
      linux_verdict);
}

TEST(Validate, ChecksNetDevices) {
  expect_each(
      {{R"("netDevices":{"eth0":{}})",
        "/linux/netDevices is set, but the container has no network"},
       {R"("namespaces":[{"type":"network"}],"netDevices":{"eth0":{},"eth1":{"name":"x"}})",
        "valid"},
       {R"("namespaces":[{"type":"network"}],"netDevices":{"eth0":{},"eth1":{"name":"eth0"}})",
        "/linux/netDevices/eth1 would be named \"eth0\""},
       {R"("namespaces":[{"type":"network"}],"netDevices":{"eth0":{"name":"a/b"}})",
        "/linux/netDevices/eth0 names \"a/b\""},
       {R"("namespaces":[{"type":"network"}],"netDevices":{"":{"name":"a"}})",
        "/linux/netDevices/ names \"\""},
       {R"("namespaces":[{"type":"network"}],"netDevices":{"eth0":{"name":"1234567890123456"}})",
        "/linux/netDevices/eth0 names"}},
      linux_verdict);
}

TEST(Validate, ChecksSysctlNames) {
  for (const char* name :
       {"net.ipv4.ip_forward", "net/ipv4/conf/eth0.100/forwarding", "kernel.msgmax",
        "net.ipv4.conf.eth0/100.forwarding", "fs.mqueue.msg_max"}) {
    EXPECT_EQ(linux_verdict("\"sysctl\":{\"" + std::string(name) + "\":\"1\"}"), "valid") << name;
  }
  for (const char* name :
       {"", "kernel", "../kernel/core_pattern", "kernel/../x", "net..ipv4", ".net.x", "/net/x",
        "net.x.", "net.x y", "net.x\\n", "a.//.b", "a.//", "net/./x"}) {
    EXPECT_NE(linux_verdict("\"sysctl\":{\"" + std::string(name) + "\":\"1\"}")
                  .find("is no name of a kernel parameter"),
              std::string::npos)
        << name;
  }
}

TEST(Validate, ChecksPathsAndWords) {
  expect_each(
      {{R"("cgroupsPath":"/a/../b")", "/linux/cgroupsPath is \"/a/../b\", which climbs"},
       {R"("cgroupsPath":"..")", "/linux/cgroupsPath"},
       {R"("cgroupsPath":"a..b/..c")", "valid"},
       {R"("cgroupsPath":"system.slice:engine:id")", "valid"},
       {R"("maskedPaths":["/a","b"])", "/linux/maskedPaths/1 is \"b\""},
       {R"("readonlyPaths":[""])", "/linux/readonlyPaths/0 is \"\""},
       {R"("rootfsPropagation":"rslave")", "valid"},
       {R"("rootfsPropagation":"none")", "/linux/rootfsPropagation is \"none\""},
       {R"("personality":{"domain":"BSD"})", "/linux/personality/domain is \"BSD\""},
       {R"("personality":{"domain":"LINUX","flags":["X"]})",
        "/linux/personality/flags is not empty"},
       {R"("intelRdt":{"closID":"a/b"})", "/linux/intelRdt/closID is \"a/b\""},
       {R"("intelRdt":{"closID":"/"})", "valid"},
       {R"("intelRdt":{"closID":".."})", "/linux/intelRdt/closID"},
       {R"("intelRdt":{"memBwSchema":"L3:0=f"})", "/linux/intelRdt/memBwSchema is no line"},
       {R"("intelRdt":{"memBwSchema":"MB:0=1\nL3:0=f"})", "/linux/intelRdt/memBwSchema is no line"},
       {R"("seccomp":{"defaultAction":"A","listenerMetadata":"x"})",
        "/linux/seccomp/listenerMetadata is set"},
       {R"("seccomp":{"defaultAction":"A","syscalls":[{"names":[],"action":"B"}]})",
        "/linux/seccomp/syscalls/0/names is empty"},
       {R"("seccomp":{"defaultAction":"A","syscalls":[{"names":["x"],"action":"B","args":[{"index":6,"value":0,"op":"E"}]}]})",
        "/linux/seccomp/syscalls/0/args/0/index is 6"}},
      linux_verdict);
}

TEST(Validate, ChecksResources) {
  expect_each(
      {{R"("devices":[{"allow":false,"access":"rwm"}])", "valid"},
       {R"("devices":[{"allow":true,"type":"c","major":1,"minor":-1,"access":"r"}])", "valid"},
       {R"("devices":[{"allow":true,"type":"p"}])", "/linux/resources/devices/0/type is \"p\""},
       {R"("devices":[{"allow":true,"access":"x"}])", "/linux/resources/devices/0/access is \"x\""},
       {R"("devices":[{"allow":true,"major":-2}])", "/linux/resources/devices/0 has a negative"},
       {R"("memory":{"limit":-1,"swap":-1})", "valid"},
       {R"("memory":{"limit":-2})", "/linux/resources/memory/limit is -2"},
       {R"("memory":{"limit":100,"swap":99})", "/linux/resources/memory/swap is 99, less than"},
       {R"("memory":{"swappiness":101})", "/linux/resources/memory/swappiness is 101"},
       {R"("cpu":{"quota":10,"burst":11})", "/linux/resources/cpu/burst is 11, over the quota"},
       {R"("cpu":{"quota":-1,"burst":11})", "valid"},
       {R"("cpu":{"idle":2})", "/linux/resources/cpu/idle is 2"},
       {R"("cpu":{"cpus":"0;1"})", "/linux/resources/cpu/cpus is \"0;1\""},
       {R"("blockIO":{"weightDevice":[{"major":8,"minor":0}]})",
        "/linux/resources/blockIO/weightDevice/0 has neither"},
       {R"("blockIO":{"throttleReadIOPSDevice":[{"major":-8,"minor":0,"rate":1}]})",
        "/linux/resources/blockIO/throttleReadIOPSDevice/0 has a negative"},
       {R"("hugepageLimits":[{"pageSize":"2MB","limit":0},{"pageSize":"64kB","limit":0}])",
        "/linux/resources/hugepageLimits/1/pageSize is \"64kB\""},
       {R"("hugepageLimits":[{"pageSize":"../2MB","limit":0}])",
        "/linux/resources/hugepageLimits/0/pageSize"},
       {R"("network":{"priorities":[{"name":"a b","priority":1}]})",
        "/linux/resources/network/priorities/0/name is \"a b\""},
       {R"("rdma":{"mlx":{}})", "/linux/resources/rdma/mlx has neither"},
       {R"("rdma":{"a b":{"hcaHandles":1}})", "/linux/resources/rdma/a b is no name"},
       {R"("unified":{"memory.high":"1"})", "valid"},
       {R"("unified":{"../x.y":"1"})",
        "/linux/resources/unified/..~1x.y is no name of a cgroup control file"},
       {R"("unified":{"a/b.c":"1"})", "/linux/resources/unified/a~1b.c is no name"},
       {R"("unified":{"":"1"})", "/linux/resources/unified/ is no name"}},
      resources_verdict);
}

TEST(Validate, NamesFieldsFromTheTopOfALoneDocument) {
  const auto process = decode_process(R"({"cwd":"x","args":["a"]})");
  ASSERT_TRUE(process.has_value());
  EXPECT_TRUE(validate_process(*process).error().message().starts_with("/cwd is"));
  const auto resources = decode_resources(R"({"cpu":{"idle":7}})");
  ASSERT_TRUE(resources.has_value());
  EXPECT_EQ(validate_resources(*resources).error().message(), "/cpu/idle is 7");
}

TEST(Validate, EscapesHostileTextInItsMessages) {
  const std::string said = process_verdict(R"("cwd":"\u001b[2J","args":["a"])");
  EXPECT_EQ(said, "/process/cwd is \"\\x1b[2J\", which is not an absolute path");
}

// A quadratic check of so many entries would take minutes.
TEST(Validate, TakesLinearTimeForManyMappings) {
  Spec spec;
  spec.oci_version = "1.3.0";
  spec.root = Root{.path = "rootfs"};
  spec.linux_.namespaces = {{.type = NamespaceType::kUser, .path = {}}};
  for (std::uint32_t i = 0; i < 300000; ++i) spec.linux_.uid_mappings.push_back({i, i, 1});
  EXPECT_TRUE(validate(spec).has_value());
}

}  // namespace
}  // namespace bulkhead::oci
