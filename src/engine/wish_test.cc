#include "engine/wish.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bulkhead::engine {
namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

TEST(Wish, HasStricterCapabilitiesThanDockerByDefault) {
  const auto set = choose_capabilities({}, {});
  ASSERT_TRUE(set);
  EXPECT_TRUE(contains(*set, "CAP_CHOWN"));
  for (const char* name :
       {"CAP_NET_RAW", "CAP_MKNOD", "CAP_SYS_CHROOT", "CAP_SETFCAP", "CAP_AUDIT_WRITE"})
    EXPECT_FALSE(contains(*set, name)) << name;
}

TEST(Wish, AddsAndDropsCapabilities) {
  EXPECT_EQ(choose_capabilities({"NET_BIND_SERVICE"}, {"ALL"}),
            (std::vector<std::string>{"CAP_NET_BIND_SERVICE"}));
  const auto almost_all = choose_capabilities({"ALL"}, {"cap_sys_admin"});
  ASSERT_TRUE(almost_all);
  EXPECT_FALSE(contains(*almost_all, "CAP_SYS_ADMIN"));
  EXPECT_TRUE(contains(*almost_all, "CAP_NET_ADMIN"));
  EXPECT_FALSE(choose_capabilities({"ALL"}, {"ALL"}));
  EXPECT_FALSE(choose_capabilities({"CHOWN"}, {"CHOWN"}));
  EXPECT_FALSE(choose_capabilities({"NO_SUCH_THING"}, {}));
  EXPECT_FALSE(choose_capabilities({""}, {}));
}

TEST(Wish, ReadsVolumes) {
  const auto volume = parse_volume("/srv/data:/data:ro,noexec");
  ASSERT_TRUE(volume);
  EXPECT_EQ(volume->source, "/srv/data");
  EXPECT_EQ(volume->destination, "/data");
  EXPECT_TRUE(volume->read_only);
  EXPECT_TRUE(volume->id_mapped);
  EXPECT_FALSE(parse_volume("/a:/b:noidmap")->id_mapped);
  EXPECT_TRUE(parse_volume("./here:/b")->source.starts_with('/'));
  const auto named = parse_volume("data:/data:ro,nocopy");
  ASSERT_TRUE(named) << named.error().message();
  EXPECT_TRUE(named->is_volume && named->read_only && named->no_copy && !named->anonymous);
  EXPECT_EQ(named->name, "data");
  EXPECT_EQ(named->source, "");
  const auto anonymous = parse_volume("/data");
  ASSERT_TRUE(anonymous) << anonymous.error().message();
  EXPECT_TRUE(anonymous->is_volume && anonymous->anonymous);
  EXPECT_EQ(anonymous->destination, "/data");
}

TEST(Wish, RefusesTwoMountsOnOnePlace) {
  RunOptions options;
  options.image = "i";
  options.volumes = {"/srv:/data", "data:/data/"};
  EXPECT_FALSE(read_wish(options));
  options.volumes = {"/srv:/data"};
  EXPECT_TRUE(read_wish(options));
  options.tmpfs = {"//data"};
  EXPECT_FALSE(read_wish(options));
}

TEST(Wish, RefusesVolumesThatItCannotGive) {
  for (const char* text : {"",
                           "/",
                           "a",
                           "/a/..",
                           "/a:b",
                           "/a:/",
                           "/a:/b/../c",
                           ":/b",
                           "n:/b",
                           ".n:/b",
                           "-n:/b",
                           "n/m:/b",
                           "n\nm:/b",
                           "name:/b:noidmap",
                           "name:/b:bind",
                           "name:/b:rslave",
                           "/a:/b:nocopy",
                           "/a:",
                           "/a:/b:z",
                           "/a:/b:Z",
                           "/a:/b:suid",
                           "/a:/b:dev",
                           "/a:/b:",
                           "/a:/b:ro:rw"})
    EXPECT_FALSE(parse_volume(text)) << text;
}

TEST(Wish, ReadsTmpfs) {
  const auto tmpfs = parse_tmpfs("/tmp:size=64m,mode=1777");
  ASSERT_TRUE(tmpfs);
  EXPECT_EQ(tmpfs->destination, "/tmp");
  EXPECT_EQ(tmpfs->options, (std::vector<std::string>{"size=64m", "mode=1777"}));
  for (const char* text : {"", "tmp", "/", "/tmp:suid", "/tmp:size=", "/tmp:frobnicate=1"})
    EXPECT_FALSE(parse_tmpfs(text)) << text;
}

TEST(Wish, ReadsLimits) {
  RunOptions options;
  options.memory = "512m";
  options.cpus = "1.5";
  options.pids_limit = "100";
  options.timeout = "1m";
  const auto wish = read_wish(options);
  ASSERT_TRUE(wish);
  EXPECT_EQ(wish->memory, 512LL << 20);
  EXPECT_EQ(wish->cpu_thousandths, 1500);
  EXPECT_EQ(wish->pids_limit, 100);
  EXPECT_EQ(wish->timeout_milliseconds, 60'000);
}

TEST(Wish, RefusesValuesThatMeanNothing) {
  const auto refused = [](auto change) {
    RunOptions options;
    change(options);
    return !read_wish(options).has_value();
  };
  EXPECT_TRUE(refused([](RunOptions& o) { o.memory = "1k"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.memory = "lots"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.memory_swap = "1g"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.memory = "2g", o.memory_swap = "1g"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.cpus = "0.001"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.pids_limit = "-2"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.timeout = "0"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.network = "bridge"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.hostname = "a b"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.workdir = "relative"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.workdir = "/a/../b"; }));
  EXPECT_TRUE(refused([](RunOptions& o) { o.env = {"=x"}; }));
}

TEST(Wish, ReadsSecurityOptions) {
  RunOptions options;
  options.security_options = {"no-new-privileges",   "seccomp=unconfined",
                              "apparmor=unconfined", "systempaths=unconfined",
                              "label=type:my_t",     "label=level:s0:c1,c2"};
  const auto wish = read_wish(options);
  ASSERT_TRUE(wish) << wish.error().message();
  EXPECT_TRUE(wish->security.no_new_privileges);
  EXPECT_TRUE(wish->security.seccomp_unconfined);
  EXPECT_EQ(wish->security.apparmor, "unconfined");
  EXPECT_TRUE(wish->security.system_paths_open);
  EXPECT_EQ(wish->security.selinux_label, "system_u:system_r:my_t:s0:c1,c2");
  options.security_options = {"no-new-privileges:false"};
  EXPECT_FALSE(read_wish(options)->security.no_new_privileges);
  for (const char* text : {"frobnicate=1", "seccomp", "seccomp=", "no-new-privileges=maybe",
                           "label=what", "systempaths=masked", ""}) {
    options.security_options = {text};
    EXPECT_FALSE(read_wish(options)) << text;
  }
}

}  // namespace
}  // namespace bulkhead::engine
