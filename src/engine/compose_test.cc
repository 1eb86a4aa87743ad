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

}  // namespace
}  // namespace bulkhead::engine
