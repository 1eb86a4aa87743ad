#include "engine/compose.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "oci/validate.h"

namespace bulkhead::engine {
namespace {

Circumstances circumstances() {
  Circumstances made;
  made.id = std::string(60, 'a') + "beef";
  made.name = "name";
  made.image = "busybox";
  made.first_uid = HostUid(1'900'000'000);
  made.first_gid = HostGid(1'900'000'000);
  made.host_memory = 4ULL << 30;
  made.boottime_seconds = 1234;
  made.monotonic_seconds = 1200;
  return made;
}

oci::ImageConfig image() {
  oci::ImageConfig made;
  made.config.env = {"PATH=/bin", "LANG=C"};
  made.config.cmd = {"sh"};
  return made;
}

Composed composed(const RunOptions& options = {}, const oci::ImageConfig& from = image()) {
  const auto wish = read_wish(options);
  EXPECT_TRUE(wish) << wish.error().message();
  auto made = compose(*wish, from, circumstances());
  EXPECT_TRUE(made) << made.error().message();
  EXPECT_TRUE(oci::validate(made->spec));
  return *made;
}

TEST(Compose, GivesEveryNamespaceByDefault) {
  const oci::Spec spec = composed().spec;
  EXPECT_EQ(spec.linux_.namespaces.size(), 8U);
  EXPECT_EQ(spec.linux_.uid_mappings, (std::vector<oci::IdMapping>{{0, 1'900'000'000, 65'536}}));
  EXPECT_EQ(spec.hostname, "aaaaaaaaaaaa");
  EXPECT_EQ(spec.linux_.cgroups_path, "/bulkhead/" + circumstances().id);
  EXPECT_EQ(spec.linux_.time_offsets.at("boottime").secs, -1234);
}

TEST(Compose, IsStrictByDefault) {
  const Composed made = composed();
  EXPECT_TRUE(made.spec.process->no_new_privileges);
  EXPECT_TRUE(made.spec.linux_.seccomp);
  EXPECT_FALSE(made.spec.linux_.masked_paths.empty());
  EXPECT_FALSE(made.spec.linux_.readonly_paths.empty());
  EXPECT_EQ(made.spec.linux_.resources->memory->limit, 3LL << 30);
  EXPECT_EQ(made.spec.linux_.resources->pids_limit, kDefaultPids);
  EXPECT_TRUE(made.spec.process->capabilities->inheritable.empty());
  EXPECT_TRUE(made.spec.process->capabilities->ambient.empty());
  EXPECT_TRUE(made.defaults.cgroup_limits);
  EXPECT_TRUE(made.opened.empty());
}

TEST(Compose, TakesWhatTheUserAskedForAsARequirement) {
  RunOptions options;
  options.memory = "512m";
  options.cpus = "1.5";
  const Composed made = composed(options);
  EXPECT_FALSE(made.defaults.cgroup_limits);
  EXPECT_EQ(made.spec.linux_.resources->memory->limit, 512LL << 20);
  EXPECT_EQ(made.spec.linux_.resources->cpu->quota, 150'000);
  EXPECT_EQ(made.spec.linux_.resources->cpu->period, 100'000U);
}

TEST(Compose, SaysWhatTheFlagsOpened) {
  RunOptions options;
  options.network = "host";
  options.cap_add = {"NET_RAW"};
  options.volumes = {"/srv:/srv"};
  options.security_options = {"seccomp=unconfined", "no-new-privileges=false",
                              "systempaths=unconfined"};
  options.pids_limit = "-1";
  const Composed made = composed(options);
  EXPECT_EQ(made.opened.size(), 7U);
  EXPECT_FALSE(made.spec.linux_.seccomp);
  EXPECT_TRUE(made.spec.linux_.masked_paths.empty());
  EXPECT_TRUE(std::ranges::none_of(made.spec.linux_.namespaces, [](const oci::Namespace& entry) {
    return entry.type == oci::NamespaceType::kNetwork;
  }));
}

TEST(Compose, JoinsEntrypointAndCommandAsDockerDoes) {
  oci::ImageConfig from = image();
  from.config.entrypoint = {"/entry", "-x"};
  RunOptions options;
  EXPECT_EQ(composed(options, from).spec.process->args,
            (std::vector<std::string>{"/entry", "-x", "sh"}));
  options.command = {"ls", "/"};
  EXPECT_EQ(composed(options, from).spec.process->args,
            (std::vector<std::string>{"/entry", "-x", "ls", "/"}));
  options.entrypoint = "cat";
  EXPECT_EQ(composed(options, from).spec.process->args,
            (std::vector<std::string>{"cat", "ls", "/"}));
  options.command.clear();
  EXPECT_EQ(composed(options, from).spec.process->args, (std::vector<std::string>{"cat"}));
  oci::ImageConfig nothing;
  EXPECT_FALSE(compose(*read_wish({}), nothing, circumstances()));
}

TEST(Compose, LetsLaterVariablesWin) {
  RunOptions options;
  options.env = {"LANG=de_DE", "NEW=1"};
  const auto env = composed(options).spec.process->env;
  EXPECT_EQ(
      env, (std::vector<std::string>{"PATH=/bin", "HOSTNAME=aaaaaaaaaaaa", "LANG=de_DE", "NEW=1"}));
}

TEST(Compose, MakesBindsIdmappedNosuidAndNodev) {
  RunOptions options;
  options.volumes = {"/srv:/data:ro", "/x:/y:noidmap,bind"};
  const auto mounts = composed(options).spec.mounts;
  const auto has = [](const oci::Mount& mount, std::string_view option) {
    return std::ranges::find(mount.options, option) != mount.options.end();
  };
  const oci::Mount& data = mounts[mounts.size() - 2];
  for (const char* option : {"rbind", "rnosuid", "rnodev", "rro", "ridmap", "rprivate"})
    EXPECT_TRUE(has(data, option)) << option;
  ASSERT_TRUE(data.uid_mappings);
  EXPECT_TRUE(data.uid_mappings->empty()) << "empty: the container's own map";
  const oci::Mount& plain = mounts.back();
  EXPECT_FALSE(plain.uid_mappings);
  EXPECT_TRUE(has(plain, "bind"));
  EXPECT_TRUE(has(plain, "nosuid"));
}

bool has_namespace(const oci::Spec& spec, oci::NamespaceType type) {
  return std::ranges::any_of(spec.linux_.namespaces,
                             [&](const oci::Namespace& entry) { return entry.type == type; });
}

const oci::Mount* mount_on(const oci::Spec& spec, std::string_view destination) {
  const auto found = std::ranges::find(spec.mounts, destination, &oci::Mount::destination);
  return found == spec.mounts.end() ? nullptr : &*found;
}

bool has_option(const oci::Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options, option) != mount.options.end();
}

TEST(Compose, PutsLimitsWhereTheSpecificationHasThem) {
  RunOptions options;
  options.memory_reservation = "64m";
  options.cpu_shares = "512";
  options.cpu_period = "50000";
  options.cpu_quota = "25000";
  options.cpuset_cpus = "0";
  options.blkio_weight = "300";
  options.oom_score_adj = "-5";
  options.ulimits = {"nofile=10"};
  options.shm_size = "1m";
  options.sysctls = {"kernel.msgmax=9000"};
  options.domainname = "example";
  const Composed made = composed(options);
  const oci::Resources& resources = *made.spec.linux_.resources;
  EXPECT_EQ(resources.memory->reservation, 64 << 20);
  EXPECT_EQ(resources.cpu->shares, 512U);
  EXPECT_EQ(resources.cpu->period, 50'000U);
  EXPECT_EQ(resources.cpu->quota, 25'000);
  EXPECT_EQ(resources.cpu->cpus, "0");
  EXPECT_EQ(resources.block_io->weight, 300);
  EXPECT_EQ(made.spec.process->oom_score_adj, -5);
  EXPECT_EQ(made.spec.process->rlimits.size(), 1U);
  EXPECT_TRUE(has_option(*mount_on(made.spec, "/dev/shm"), "size=1048576"));
  EXPECT_EQ(made.spec.linux_.sysctl.at("kernel.msgmax"), "9000");
  EXPECT_EQ(made.spec.domainname, "example");
  EXPECT_FALSE(made.defaults.cgroup_limits) << "what was asked for is not left out";
}

TEST(Compose, SharesTheHostsNamespacesOnlyWhenTold) {
  RunOptions options;
  options.pid_namespace = options.ipc_namespace = options.uts_namespace = options.cgroup_namespace =
      options.time_offset = "host";
  const Composed made = composed(options);
  for (const auto type :
       {oci::NamespaceType::kPid, oci::NamespaceType::kIpc, oci::NamespaceType::kUts,
        oci::NamespaceType::kCgroup, oci::NamespaceType::kTime})
    EXPECT_FALSE(has_namespace(made.spec, type));
  EXPECT_TRUE(has_namespace(made.spec, oci::NamespaceType::kUser));
  EXPECT_EQ(mount_on(made.spec, "/proc")->type, "bind");
  EXPECT_EQ(mount_on(made.spec, "/dev/shm")->type, "bind");
  EXPECT_TRUE(made.spec.hostname.empty());
  EXPECT_EQ(made.opened.size(), 5U);
}

TEST(Compose, GivesAPrivilegedContainerWhatDockerGives) {
  RunOptions options;
  options.privileged = true;
  const Composed made = composed(options);
  EXPECT_FALSE(has_namespace(made.spec, oci::NamespaceType::kUser));
  EXPECT_TRUE(made.spec.linux_.uid_mappings.empty());
  EXPECT_FALSE(made.spec.linux_.seccomp);
  EXPECT_TRUE(made.spec.linux_.masked_paths.empty());
  EXPECT_FALSE(made.spec.process->no_new_privileges);
  EXPECT_EQ(made.spec.process->capabilities->effective.size(), 41U);
  EXPECT_TRUE(made.spec.linux_.resources->devices.front().allow);
  EXPECT_TRUE(has_option(*mount_on(made.spec, "/sys"), "rw"));
  options.security_options = {"no-new-privileges"};
  options.user_namespace = "private";
  const Composed kept = composed(options);
  EXPECT_TRUE(kept.spec.process->no_new_privileges);
  EXPECT_TRUE(has_namespace(kept.spec, oci::NamespaceType::kUser));
}

TEST(Compose, HandsDevicesInAndAllowsThem) {
  Circumstances with = circumstances();
  with.devices = {{.path = "/dev/mine",
                   .host = "/dev/fuse",
                   .type = "c",
                   .major = 10,
                   .minor = 229,
                   .mode = 0600,
                   .access = "rw"}};
  with.cdi.env = {"CDI=1"};
  with.cdi.mounts = {{"/usr/lib/x", "/x", "", {"ro"}}};
  with.cdi.hooks = {{"createContainer", "/bin/true", {}, {}, {}}};
  with.cdi.additional_gids = {44};
  const auto made = compose(*read_wish({}), image(), with);
  ASSERT_TRUE(made);
  const oci::Mount* const node = mount_on(made->spec, "/dev/mine");
  ASSERT_NE(node, nullptr);
  EXPECT_FALSE(has_option(*node, "nodev"));
  EXPECT_TRUE(made->spec.linux_.devices.empty());
  const auto& rules = made->spec.linux_.resources->devices;
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_FALSE(rules[0].allow);
  EXPECT_TRUE(rules[1].allow);
  EXPECT_EQ(rules[1].minor, 229);
  EXPECT_EQ(rules[1].access, "rw");
  EXPECT_NE(std::ranges::find(made->spec.process->env, "CDI=1"), made->spec.process->env.end());
  EXPECT_EQ(made->spec.hooks->create_container.size(), 1U);
  EXPECT_EQ(made->spec.process->user.additional_gids.size(), 1U);
  RunOptions host;
  host.user_namespace = "host";
  const auto nodes = compose(*read_wish(host), image(), with);
  EXPECT_EQ(nodes->spec.linux_.devices.size(), 1U) << "on the host's ids nodes are made";
}

TEST(Compose, RecordsTheStorage) {
  const auto wish = read_wish({});
  ASSERT_TRUE(wish);
  Circumstances with = circumstances();
  with.storage = "erofs";
  EXPECT_FALSE(compose(*wish, image(), with)->spec.annotations.contains("org.bulkhead.size-limit"));
  with.size_limit = "8388608 bytes by a tmpfs";
  const Composed made = *compose(*wish, image(), with);
  EXPECT_EQ(made.spec.annotations.at("org.bulkhead.storage"), "erofs");
  EXPECT_EQ(made.spec.annotations.at("org.bulkhead.size-limit"), with.size_limit);
}

TEST(Compose, RecordsWhatIsToBeRecorded) {
  oci::ImageConfig from = image();
  from.config.labels = {{"a", "image"}, {"b", "image"}};
  from.config.stop_signal = "SIGQUIT";
  RunOptions options;
  options.labels = {"a=mine"};
  options.tenant = "t1";
  options.expose = {"80"};
  options.stop_timeout = "3";
  options.ipc_namespace = "shareable";
  const Composed made = composed(options, from);
  EXPECT_EQ(made.labels, (Labels{{"a", "mine"}, {"b", "image"}}));
  const auto& annotations = made.spec.annotations;
  EXPECT_EQ(annotations.at("org.bulkhead.labels"), R"({"a":"mine","b":"image"})");
  EXPECT_EQ(annotations.at("org.bulkhead.tenant"), "t1");
  EXPECT_EQ(annotations.at("org.bulkhead.ipc"), "shareable");
  EXPECT_EQ(annotations.at("org.opencontainers.image.stopSignal"), "SIGQUIT");
  EXPECT_EQ(annotations.at("org.opencontainers.image.exposedPorts"), "80/tcp");
  EXPECT_EQ(annotations.at("org.bulkhead.stop-timeout"), "3");
  EXPECT_FALSE(annotations.contains("org.bulkhead.clocks-begin"));
  options.time_offset = "60s";
  const oci::Spec later = composed(options, from).spec;
  EXPECT_EQ(later.annotations.at("org.bulkhead.clocks-begin"), "60") << "for the next start";
  EXPECT_EQ(later.linux_.time_offsets.at("boottime").secs, 60 - 1234);
}

TEST(Compose, ClosesWhatThePresetCloses) {
  RunOptions options;
  options.preset = "untrusted";
  options.volumes = {"/srv:/out"};
  const Composed made = composed(options);
  EXPECT_TRUE(made.spec.root->readonly);
  EXPECT_TRUE(made.spec.process->capabilities->bounding.empty());
  EXPECT_EQ(made.spec.linux_.resources->memory->limit, 256 << 20);
  EXPECT_EQ(made.spec.linux_.resources->pids_limit, 128);
  const std::string& rules = made.spec.annotations.at("org.bulkhead.landlock");
  EXPECT_NE(rules.find(R"({"path":"/tmp","access":["all"])"), std::string::npos) << rules;
  EXPECT_NE(rules.find(R"({"path":"/out","access":["all"])"), std::string::npos) << rules;
  EXPECT_FALSE(made.defaults.landlock) << "asked for";
  options.memory = "1g";
  EXPECT_EQ(composed(options).spec.linux_.resources->memory->limit, 1 << 30);
}

TEST(Compose, RefusesToOpenWhatThePresetCloses) {
  using Change = void (*)(RunOptions&);
  for (const Change change : std::vector<Change>{
           [](RunOptions& o) { o.privileged = true; }, [](RunOptions& o) { o.cap_add = {"CHOWN"}; },
           [](RunOptions& o) { o.network = "host"; },
           [](RunOptions& o) { o.pid_namespace = "host"; },
           [](RunOptions& o) { o.ipc_namespace = "container:x"; },
           [](RunOptions& o) { o.user_namespace = "host"; },
           [](RunOptions& o) { o.devices = {"/dev/fuse"}; }, [](RunOptions& o) { o.gpus = "all"; },
           [](RunOptions& o) { o.security_options = {"seccomp=unconfined"}; },
           [](RunOptions& o) { o.security_options = {"no-new-privileges=false"}; },
           [](RunOptions& o) { o.security_options = {"systempaths=unconfined"}; },
           [](RunOptions& o) { o.security_options = {"landlock=unconfined"}; },
           [](RunOptions& o) { o.security_options = {"landlock=/rules=true"}; },
           [](RunOptions& o) { o.memory = "-1"; }, [](RunOptions& o) { o.pids_limit = "0"; },
           [](RunOptions& o) { o.oom_score_adj = "-1"; },
           [](RunOptions& o) { o.preset = "banana"; }}) {
    RunOptions options;
    options.preset = "untrusted";
    change(options);
    const auto wish = read_wish(options);
    ASSERT_FALSE(wish);
    EXPECT_NE(wish.error().message().find("--preset"), std::string::npos);
  }
}

}  // namespace
}  // namespace bulkhead::engine
