#include "policy/policy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "json/parse.h"
#include "policy/enforce.h"
#include "sys/file.h"

namespace bulkhead::policy {
namespace {

// What `bulkhead run busybox` would start.
oci::Spec strict() {
  oci::Spec spec;
  using oci::NamespaceType;
  for (const NamespaceType type :
       {NamespaceType::kUser, NamespaceType::kPid, NamespaceType::kMount, NamespaceType::kIpc,
        NamespaceType::kUts, NamespaceType::kCgroup, NamespaceType::kNetwork})
    spec.linux_.namespaces.push_back({type, {}});
  spec.process.emplace();
  spec.process->no_new_privileges = true;
  spec.process->capabilities = oci::CapabilitySets{.bounding = {"CAP_CHOWN"}};
  spec.linux_.seccomp.emplace().default_action = "SCMP_ACT_ERRNO";
  spec.linux_.masked_paths = {"/proc/kcore"};
  oci::Resources& resources = spec.linux_.resources.emplace();
  resources.devices = {{.allow = false, .access = "rwm"},
                       {.allow = true, .type = "c", .major = 1, .minor = 3, .access = "rwm"}};
  resources.memory.emplace().limit = 1 << 30;
  resources.pids_limit = 100;
  resources.cpu.emplace().quota = 100'000;
  return spec;
}

constexpr std::string_view kEverything = R"({
  "forbid": ["privileged", "host-user-namespace", "host-pid-namespace", "host-network",
             "host-ipc-namespace", "host-uts-namespace", "host-cgroup-namespace", "host-mounts",
             "devices", "hooks", "new-privileges", "unconfined-seccomp", "unmasked-paths"],
  "hostMounts": ["/usr/share"], "capabilities": ["CAP_CHOWN", "CAP_KILL"],
  "memoryBytes": 2147483648, "processes": 200, "milliCpus": 1500,
  "images": ["busybox", "registry.example.com/team/*"]})";

std::vector<std::string> judged(const oci::Spec& spec, const std::string& image = "busybox") {
  const auto policy = parse_policy(kEverything);
  EXPECT_TRUE(policy) << policy.error().message();
  return violations(*policy, {.spec = spec, .container = "c", .image = image, .own_mounts = {}});
}

TEST(Policy, AllowsWhatKeepsToIt) {
  EXPECT_TRUE(judged(strict()).empty());
  EXPECT_TRUE(judged(strict(), "registry.example.com/team/app:1").empty());
  oci::Spec spec = strict();
  spec.mounts.push_back({.destination = "/x",
                         .type = "bind",
                         .source = "/usr/share/doc",
                         .options = {},
                         .uid_mappings = {},
                         .gid_mappings = {}});
  EXPECT_TRUE(judged(spec).empty());
}

TEST(Policy, NamesTheRuleThatIsBroken) {
  struct Row {
    std::string_view rule;
    void (*change)(oci::Spec&);
  };
  const auto without = [](oci::Spec& spec, oci::NamespaceType type) {
    std::erase_if(spec.linux_.namespaces, [&](const auto& each) { return each.type == type; });
  };
  static const auto drop = without;
  for (const Row& row :
       {Row{"privileged",
            [](oci::Spec& s) {
              s.linux_.resources->devices.push_back({.allow = true, .access = "rwm"});
            }},
        Row{"host-user-namespace", [](oci::Spec& s) { drop(s, oci::NamespaceType::kUser); }},
        Row{"host-pid-namespace", [](oci::Spec& s) { drop(s, oci::NamespaceType::kPid); }},
        Row{"host-network", [](oci::Spec& s) { drop(s, oci::NamespaceType::kNetwork); }},
        Row{"host-network",
            [](oci::Spec& s) { s.linux_.namespaces.back().path = "/proc/self/ns/net"; }},
        Row{"host-network", [](oci::Spec& s) { s.linux_.namespaces.back().path = "/no/such"; }},
        Row{"host-ipc-namespace", [](oci::Spec& s) { drop(s, oci::NamespaceType::kIpc); }},
        Row{"host-uts-namespace", [](oci::Spec& s) { drop(s, oci::NamespaceType::kUts); }},
        Row{"host-cgroup-namespace", [](oci::Spec& s) { drop(s, oci::NamespaceType::kCgroup); }},
        Row{"host-mounts",
            [](oci::Spec& s) {
              s.mounts.push_back({.destination = "/x",
                                  .type = "none",
                                  .source = "/etc",
                                  .options = {"rbind"},
                                  .uid_mappings = {},
                                  .gid_mappings = {}});
            }},
        Row{"host-mounts",
            [](oci::Spec& s) {
              s.mounts.push_back({.destination = "/x",
                                  .type = "bind",
                                  .source = "/usr/share/../../etc",
                                  .options = {},
                                  .uid_mappings = {},
                                  .gid_mappings = {}});
            }},
        Row{"host-mounts",
            [](oci::Spec& s) {
              s.mounts.push_back({.destination = "/x",
                                  .type = "bind",
                                  .source = "/usr/shared",
                                  .options = {},
                                  .uid_mappings = {},
                                  .gid_mappings = {}});
            }},
        Row{"devices",
            [](oci::Spec& s) {
              s.linux_.resources->devices.push_back(
                  {.allow = true, .type = "c", .major = 10, .minor = 229, .access = "rw"});
            }},
        Row{"devices",
            [](oci::Spec& s) { s.linux_.devices.push_back({.type = "c", .path = "/dev/x"}); }},
        Row{"hooks", [](oci::Spec& s) { s.hooks.emplace().poststop.push_back({.path = "/x"}); }},
        Row{"new-privileges", [](oci::Spec& s) { s.process->no_new_privileges = false; }},
        Row{"unconfined-seccomp", [](oci::Spec& s) { s.linux_.seccomp.reset(); }},
        Row{"unconfined-seccomp",
            [](oci::Spec& s) { s.linux_.seccomp->default_action = "SCMP_ACT_ALLOW"; }},
        Row{"unmasked-paths", [](oci::Spec& s) { s.linux_.masked_paths.clear(); }},
        Row{"capabilities",
            [](oci::Spec& s) { s.process->capabilities->ambient = {"CAP_NET_RAW"}; }},
        Row{"memoryBytes", [](oci::Spec& s) { s.linux_.resources->memory.reset(); }},
        Row{"memoryBytes", [](oci::Spec& s) { s.linux_.resources->memory->limit = -1; }},
        Row{"memoryBytes", [](oci::Spec& s) { s.linux_.resources->memory->limit = 3LL << 30; }},
        Row{"processes", [](oci::Spec& s) { s.linux_.resources->pids_limit = 201; }},
        Row{"processes", [](oci::Spec& s) { s.linux_.resources->pids_limit.reset(); }},
        Row{"milliCpus", [](oci::Spec& s) { s.linux_.resources->cpu->quota = 150'100; }},
        Row{"milliCpus", [](oci::Spec& s) { s.linux_.resources->cpu->quota = -1; }},
        Row{"milliCpus", [](oci::Spec& s) { s.linux_.resources->cpu->period = 10'000; }}}) {
    oci::Spec spec = strict();
    row.change(spec);
    const auto found = judged(spec);
    EXPECT_TRUE(std::ranges::any_of(
        found,
        [&](const std::string& text) { return text.starts_with(std::string(row.rule) + ": "); }))
        << row.rule << (found.empty() ? " (nothing)" : " " + found.front());
  }
  const auto policy = parse_policy(kEverything);
  const oci::Spec spec = strict();
  EXPECT_EQ(violations(*policy, {.spec = spec,
                                 .container = "c",
                                 .image = "busybox",
                                 .own_mounts = {},
                                 .root = "/usr/.."}),
            (std::vector<std::string>{"host-mounts: the container's root is the host's"}));
  EXPECT_EQ(judged(strict(), "alpine").size(), 1U);
  EXPECT_EQ(judged(strict(), "").size(), 1U)
      << "who names no image is not known to run one of these";
  EXPECT_EQ(judged(strict(), "registry.example.com/teamwork").size(), 1U);
}

TEST(Policy, IsReadStrictly) {
  EXPECT_TRUE(parse_policy("{}"));
  for (const char* text :
       {"", "[]", R"({"forbid": ["banana"]})", R"({"banana": 1})", R"({"forbid": "privileged"})",
        R"({"hostMounts": ["/x"]})", R"({"forbid": ["host-mounts"], "hostMounts": ["x"]})",
        R"({"forbid": ["host-mounts"], "hostMounts": ["/x/../y"]})", R"({"memoryBytes": 0})",
        R"({"memoryBytes": -1})", R"({"processes": 1.5})", R"({"capabilities": ["CHOWN"]})",
        R"({"audit": "relative"})", R"({"forbid": [], "forbid": []})", "{}{}"})
    EXPECT_FALSE(parse_policy(text)) << text;
}

class PolicyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the file must be root's";
    char name[] = "/tmp/bulkhead-policy-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ / "policy.json";
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  void write(std::string_view text) const {
    std::FILE* const file = std::fopen(path_.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    ::chmod(path_.c_str(), 0644);
  }
  Result<std::optional<Policy>> read() const { return read_policy(path_.c_str()); }
  std::filesystem::path directory_;
  std::string path_;
};

TEST_F(PolicyFile, MayBeMissingButNotBroken) {
  ASSERT_TRUE(read());
  EXPECT_FALSE(read()->has_value());
  write(kEverything);
  ASSERT_TRUE(read());
  EXPECT_TRUE(read()->has_value());
  write("{");
  EXPECT_FALSE(read());
}

TEST_F(PolicyFile, CountsOnlyWhenRootAloneCanHaveWrittenIt) {
  write("{}");
  for (const mode_t mode : {0664U, 0646U, 0666U}) {
    ::chmod(path_.c_str(), mode);
    EXPECT_FALSE(read()) << mode;
  }
  ::chmod(path_.c_str(), 0600);
  EXPECT_TRUE(read());
  ASSERT_EQ(::chown(path_.c_str(), 1000, 0), 0);
  EXPECT_FALSE(read());
  ASSERT_EQ(::chown(path_.c_str(), 0, 0), 0);
  ::chmod(directory_.c_str(), 0777);
  EXPECT_FALSE(read()) << "the directory lets others put another in its place";
  ::chmod(directory_.c_str(), 0700);
  std::filesystem::rename(path_, directory_ / "other");
  std::filesystem::create_symlink("other", path_);
  EXPECT_FALSE(read());
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(read()) << "and does not hang";
}

TEST_F(PolicyFile, HasALogThatIsAppendedTo) {
  Policy policy = *parse_policy(R"({"forbid": ["hooks"]})");
  policy.audit = directory_ / "audit.log";
  oci::Spec spec = strict();
  spec.annotations["org.bulkhead.tenant"] = "acme\n\"x";
  const std::vector<std::string> weakened = {"the network"};
  EXPECT_TRUE(enforce(policy, {.spec = spec, .container = "one", .image = "i", .own_mounts = {}},
                      weakened));
  spec.hooks.emplace().poststop.push_back({.path = "/x"});
  const auto refused =
      enforce(policy, {.spec = spec, .container = "two", .image = "i", .own_mounts = {}}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kPermission);
  const auto text = read_file_at(AT_FDCWD, policy.audit.c_str());
  ASSERT_TRUE(text);
  EXPECT_EQ(std::ranges::count(*text, '\n'), 2);
  const auto first = json::parse(text->substr(0, text->find('\n')));
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->root().find("event")->as_string(), "start");
  EXPECT_EQ(first->root().find("uid")->as_uint64(), 0U);
  EXPECT_EQ(first->root().find("tenant")->as_string(), "acme\n\"x");
  EXPECT_EQ(first->root().find("weakened")->items().size(), 1U);
  const auto second = json::parse(text->substr(text->find('\n') + 1));
  EXPECT_EQ(second->root().find("event")->as_string(), "refused");
  EXPECT_EQ(second->root().find("violations")->items().size(), 1U);
}

TEST_F(PolicyFile, StartsNothingThatItCannotWriteDown) {
  Policy policy;
  policy.audit = directory_ / "no" / "such" / "log";
  const oci::Spec spec = strict();
  const Subject subject{.spec = spec, .container = "c", .image = {}, .own_mounts = {}};
  EXPECT_FALSE(enforce(policy, subject, {}));
  policy.audit = directory_ / "fifo";
  ASSERT_EQ(::mkfifo(policy.audit.c_str(), 0600), 0);
  EXPECT_FALSE(enforce(policy, subject, {}));
  policy.audit = "/dev/full";
  EXPECT_FALSE(enforce(policy, subject, {}));
}

}  // namespace
}  // namespace bulkhead::policy
