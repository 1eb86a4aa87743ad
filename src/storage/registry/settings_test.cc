#include "storage/registry/settings.h"

#include <gtest/gtest.h>

namespace bulkhead::storage {
namespace {

using Scheme = RegistrySettings::Scheme;

constexpr const char* kExample = R"(
search = ["docker.io", "quay.io"]

[aliases]
fedora = "registry.fedoraproject.org/fedora"

[registry."docker.io"]
mirrors = ["mirror.example:5000"]

[registry."registry.example:5000"]
http = true
stall-seconds = 5
chunk-mib = 8
allow-hosts = ["minio.example:9000"]

[registry."tls.example"]
ca = "/etc/ca.pem"
client-cert = "/etc/cert.pem"
client-key = "/etc/key.pem"
skip-verify = true
proxy = "http://proxy.example:3128"
)";

Settings example() {
  auto settings = parse_settings(kExample, "registries.toml");
  EXPECT_TRUE(settings) << settings.error().message();
  return *std::move(settings);
}
std::string problem(const std::string& text) {
  const auto settings = parse_settings(text, "f.toml");
  return settings ? "" : settings.error().message();
}
std::vector<std::string> names(const Settings& settings, std::string_view name) {
  std::vector<std::string> all;
  const auto found = candidates(settings, name);
  if (!found) return {"refused"};
  for (const Reference& reference : *found) all.push_back(reference.canonical());
  return all;
}

TEST(Settings, AreReadWhole) {
  const Settings settings = example();
  EXPECT_EQ(settings.search, (std::vector<std::string>{"docker.io", "quay.io"}));
  EXPECT_EQ(settings.of("docker.io").mirrors, std::vector<std::string>{"mirror.example:5000"});
  const RegistrySettings plain = settings.of("registry.example:5000");
  EXPECT_EQ(plain.scheme, Scheme::kHttp);
  EXPECT_EQ(plain.stall_seconds, 5U);
  EXPECT_EQ(plain.chunk_bytes, 8U << 20);
  EXPECT_EQ(plain.allow_hosts, std::vector<std::string>{"minio.example:9000"});
  const RegistrySettings tls = settings.of("tls.example");
  EXPECT_EQ(tls.scheme, Scheme::kHttps);
  EXPECT_EQ(tls.authorities, "/etc/ca.pem");
  EXPECT_EQ(tls.client_certificate, "/etc/cert.pem");
  EXPECT_EQ(tls.client_key, "/etc/key.pem");
  EXPECT_TRUE(tls.skip_verify);
  EXPECT_EQ(tls.proxy, "http://proxy.example:3128");
}

TEST(Settings, SpeakPlainHttpOnLoopbackOnly) {
  const Settings settings = *parse_settings("", "f");
  for (const char* name : {"localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:80",
                           "registry.localhost"})
    EXPECT_EQ(settings.of(name).scheme, Scheme::kEither) << name;
  for (const char* name : {"docker.io", "10.0.0.1:5000", "128.0.0.1", "[::2]:80",
                           "localhost.example", "127.0.0.1.example"})
    EXPECT_EQ(settings.of(name).scheme, Scheme::kHttps) << name;
  const Settings asked = *parse_settings("[registry.\"localhost:5000\"]\nhttp = false\n", "f");
  EXPECT_EQ(asked.of("localhost:5000").scheme, Scheme::kHttps);
}

TEST(Settings, SayWhatShortNamesMean) {
  const Settings settings = example();
  EXPECT_EQ(names(settings, "fedora"),
            std::vector<std::string>{"registry.fedoraproject.org/fedora:latest"});
  EXPECT_EQ(names(settings, "fedora:39"),
            std::vector<std::string>{"registry.fedoraproject.org/fedora:39"});
  EXPECT_EQ(
      names(settings, "busybox"),
      (std::vector<std::string>{"docker.io/library/busybox:latest", "quay.io/busybox:latest"}));
  EXPECT_EQ(names(settings, "ghcr.io/o/r"), std::vector<std::string>{"ghcr.io/o/r:latest"});
  EXPECT_EQ(names(*parse_settings("", "f"), "busybox"),
            std::vector<std::string>{"docker.io/library/busybox:latest"});
  EXPECT_EQ(names(settings, "NO"), std::vector<std::string>{"refused"});
}

TEST(Settings, NameTheLineOfAMistake) {
  EXPECT_NE(problem("search = [\n").find("\"f.toml\", line"), std::string::npos);
  EXPECT_NE(problem("\nserch = []\n").find("line 2: \"serch\": there is no such setting"),
            std::string::npos)
      << problem("\nserch = []\n");
  EXPECT_NE(problem("[registry.\"a.example\"]\nhttp = \"yes\"\n").find("true or false"),
            std::string::npos);
}

TEST(Settings, RefuseWhatCannotBeMeant) {
  for (const char* text : {"search = [\"not a host\"]",
                           "search = \"docker.io\"",
                           "search = [1]",
                           "search = [\"quay\"]",
                           "[registry.\"quay\"]\nhttp = true",
                           "[!.",
                           "# caf\xc3\xa9\nsearch = []",
                           "search = [\"\x01\"]",
                           "[registry.\"no host\"]\nhttp = true",
                           "registry = 1",
                           "[registry.\"a.example\"]\nca = \"relative.pem\"",
                           "[registry.\"a.example\"]\nclient-key = \"/key.pem\"",
                           "[registry.\"a.example\"]\nmirrors = [\"https://b.example\"]",
                           "[registry.\"a.example\"]\nallow-hosts = [\"b.example\"]",
                           "[registry.\"a.example\"]\nstall-seconds = 0",
                           "[registry.\"a.example\"]\nchunk-mib = 0",
                           "[registry.\"a.example\"]\nproxy = \"socks5://p\"",
                           "[aliases]\nx = \"busybox\"",
                           "[aliases]\n\"x:1\" = \"quay.io/x\"",
                           "[aliases]\n\"quay.io/x\" = \"quay.io/x\"",
                           "[aliases]\nx = \"quay.io/x@sha256:12\"",
                           "a = 1\na = 2",
                           "x = 2020-01-01"})
    EXPECT_NE(problem(text), "") << text;
}

}  // namespace
}  // namespace bulkhead::storage
