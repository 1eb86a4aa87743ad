#include "storage/reference.h"

#include <gtest/gtest.h>

namespace bulkhead::storage {
namespace {

const std::string kSomeDigest = "sha256:" + std::string(64, 'a');

std::string canonical(std::string_view text) {
  const auto reference = parse_reference(text);
  return reference ? reference->canonical() : "refused: " + reference.error().message();
}
std::string familiar(std::string_view text) {
  const auto reference = parse_reference(text);
  return reference ? reference->familiar() : "refused";
}
bool refused(std::string_view text) { return !parse_reference(text).has_value(); }

TEST(Reference, MeansWhatDockerMeansByAShortName) {
  EXPECT_EQ(canonical("busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(canonical("busybox:1.36"), "docker.io/library/busybox:1.36");
  EXPECT_EQ(canonical("docker.io/busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(canonical("index.docker.io/busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(canonical("bitnami/redis"), "docker.io/bitnami/redis:latest");
  EXPECT_EQ(canonical("docker.io/library/busybox"), "docker.io/library/busybox:latest");
}

TEST(Reference, TellsARegistryFromANamespace) {
  EXPECT_EQ(canonical("ghcr.io/o/r"), "ghcr.io/o/r:latest");
  EXPECT_EQ(canonical("localhost/x"), "localhost/x:latest");
  EXPECT_EQ(canonical("localhost:5000/x"), "localhost:5000/x:latest");
  EXPECT_EQ(canonical("host:80/a/b/c:v"), "host:80/a/b/c:v");
  EXPECT_EQ(canonical("[::1]:5000/x"), "[::1]:5000/x:latest");
  EXPECT_EQ(canonical("Registry.example/x"), "registry.example/x:latest");
  EXPECT_TRUE(refused("Registry/x")) << "in small letters it would be a namespace";
  EXPECT_EQ(canonical("host/x"), "docker.io/host/x:latest");
  EXPECT_EQ(canonical("localhost"), "docker.io/library/localhost:latest");
  EXPECT_EQ(canonical("a.b:5000"), "docker.io/library/a.b:5000") << "without a slash it is a tag";
}

TEST(Reference, TakesTagDigestAndBoth) {
  EXPECT_EQ(canonical("x@" + kSomeDigest), "docker.io/library/x@" + kSomeDigest);
  EXPECT_EQ(canonical("x:1@" + kSomeDigest), "docker.io/library/x:1@" + kSomeDigest);
  const auto by_digest = parse_reference("x@" + kSomeDigest);
  ASSERT_TRUE(by_digest);
  EXPECT_EQ(by_digest->tag, "") << "latest is not implied where a digest stands";
  EXPECT_EQ(by_digest->version(), kSomeDigest);
  EXPECT_EQ(parse_reference("x:1")->version(), "1");
  EXPECT_TRUE(parse_reference("x@sha512:" + std::string(128, '0')));
  EXPECT_TRUE(refused("x@sha256:" + std::string(63, 'a')));
  EXPECT_TRUE(refused("x@sha256:" + std::string(64, 'A')));
  EXPECT_TRUE(refused("x@md5:" + std::string(32, 'a')));
  EXPECT_TRUE(refused("x@" + kSomeDigest + "@" + kSomeDigest));
  EXPECT_TRUE(refused("x@"));
  EXPECT_TRUE(refused("x@" + kSomeDigest + ":1"));
}

TEST(Reference, RefusesWhatNoRepositoryIsCalled) {
  for (const char* text : {"",
                           "/",
                           "/x",
                           "x/",
                           "a//b",
                           "a/./b",
                           "a/../b",
                           "..",
                           ".",
                           "x.",
                           ".x",
                           "-x",
                           "x-",
                           "_x",
                           "a..b",
                           "a___b",
                           "a._b",
                           "a b",
                           "a\nb",
                           "X",
                           "a/B",
                           "x:",
                           "x:.t",
                           "x:-t",
                           "x:a/b:c ",
                           "x:t:u",
                           "ä",
                           "a@b",
                           "a%2fb",
                           "a\\b",
                           "localhost:/x",
                           "localhost:0/x",
                           "localhost:65536/x",
                           "localhost:123456/x",
                           "localhost:5a/x",
                           "-h.io/x",
                           "h-.io/x",
                           "a..io/x",
                           "[::1/x",
                           "[x]/x",
                           "[::1]x/y",
                           "user@host.io/x",
                           "host.io:80:90/x"})
    EXPECT_TRUE(refused(text)) << text;
  EXPECT_TRUE(refused(std::string_view("a\0b", 3)));
  EXPECT_TRUE(refused(std::string_view("[::1\0]/x", 8)));
  EXPECT_TRUE(refused(std::string(64, 'f'))) << "an id is not a name";
  for (const char* text : {"a-b", "a--b", "a---b", "a.b", "a_b", "a__b", "0", "a/b/c/d/e", "1.2/x"})
    EXPECT_FALSE(refused(text)) << text;
}

TEST(Reference, BoundsLengths) {
  EXPECT_FALSE(refused("x:" + std::string(128, 't')));
  EXPECT_TRUE(refused("x:" + std::string(129, 't')));
  const std::string prefix = "docker.io/library/";
  EXPECT_FALSE(refused(std::string(255 - prefix.size(), 'x')));
  EXPECT_TRUE(refused(std::string(256 - prefix.size(), 'x')));
  EXPECT_TRUE(refused(std::string(5000, 'x')));
  EXPECT_FALSE(refused(std::string(63, 'h') + ".io/x"));
  EXPECT_TRUE(refused(std::string(64, 'h') + ".io/x"));
}

TEST(Reference, IsShownAsDockerUsersTypeIt) {
  EXPECT_EQ(familiar("docker.io/library/busybox"), "busybox:latest");
  EXPECT_EQ(familiar("docker.io/bitnami/redis:7"), "bitnami/redis:7");
  EXPECT_EQ(familiar("ghcr.io/o/r"), "ghcr.io/o/r:latest");
  EXPECT_EQ(familiar("docker.io/library/a/b"), "library/a/b:latest");
  EXPECT_EQ(familiar("docker.io/localhost/x"), "docker.io/localhost/x:latest")
      << "localhost/x is another image";
}

TEST(Reference, ReadsBackWhatItShows) {
  for (const char* text : {"busybox", "docker.io/localhost/x", "docker.io/a.b/c:1",
                           "docker.io/library/a/b", "localhost:5000/q", "H.io/x:T"}) {
    const auto reference = parse_reference(text);
    ASSERT_TRUE(reference) << text;
    EXPECT_EQ(parse_reference(reference->canonical()), *reference) << text;
    EXPECT_EQ(parse_reference(reference->familiar()), *reference) << text;
  }
}

TEST(Reference, QuotesAHostileNameInItsError) {
  const auto reference = parse_reference("a\x1b[2Jb");
  ASSERT_FALSE(reference);
  EXPECT_EQ(reference.error().message().find('\x1b'), std::string::npos);
  EXPECT_EQ(reference.error().kind(), ErrorKind::kInvalid);
}

TEST(Reference, OfAnotherRegistryThanTheDefault) {
  EXPECT_EQ(parse_reference_at("quay.io", "busybox")->canonical(), "quay.io/busybox:latest");
  EXPECT_EQ(parse_reference_at("docker.io", "busybox")->canonical(),
            "docker.io/library/busybox:latest");
  EXPECT_FALSE(parse_reference_at("not a host", "busybox"));
  // "quay/busybox" is docker.io's.
  EXPECT_FALSE(parse_reference_at("quay", "busybox"));
}

}  // namespace
}  // namespace bulkhead::storage
