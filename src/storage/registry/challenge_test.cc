#include "storage/registry/challenge.h"

#include <gtest/gtest.h>

namespace bulkhead::storage {
namespace {

using Scheme = Challenge::Scheme;

TEST(Challenge, OfTheTokenProtocol) {
  const auto found = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull")");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].scheme, Scheme::kBearer);
  EXPECT_EQ(found[0].realm, "https://auth.example/token");
  EXPECT_EQ(found[0].service, "reg");
  EXPECT_EQ(found[0].scope, "repository:a/b:pull");
}

TEST(Challenge, KnowsSchemesInAnyCaseAndParametersInAnyOrder) {
  const auto found = parse_challenges(R"(bEARER  Scope = "x" , REALM=https)");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].realm, "https");
  EXPECT_EQ(found[0].scope, "x");
}

TEST(Challenge, SeveralInOneHeader) {
  const auto found = parse_challenges(
      R"(Negotiate, Basic realm="a, b=\"c\"", Bearer realm="r", Digest nonce="n")");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].scheme, Scheme::kBasic);
  EXPECT_EQ(found[0].realm, "a, b=\"c\"");
  EXPECT_EQ(found[1].scheme, Scheme::kBearer);
  EXPECT_EQ(choose_challenge(found)->scheme, Scheme::kBearer);
}

TEST(Challenge, BasicNeedsNoParameters) {
  EXPECT_EQ(parse_challenges("Basic").size(), 1U);
  EXPECT_EQ(choose_challenge(parse_challenges("Basic"))->scheme, Scheme::kBasic);
}

TEST(Challenge, TakesNothingOutOfNonsense) {
  for (const char* text : {"", ",", "Bearer", "Bearer realm", "Bearer realm=", "Bearer realm=\"",
                           "Bearer realm=\"x", "Bearer realm=\"x\\", "Digest realm=\"x\"", "\x01",
                           "Bearer realm=\"a\nb\"", "Bearer realm=\"a\",realm=\"b\""})
    EXPECT_TRUE(parse_challenges(text).empty()) << text;
  EXPECT_FALSE(choose_challenge({}));
  EXPECT_TRUE(parse_challenges(std::string(20'000, 'a')).empty());
}

}  // namespace
}  // namespace bulkhead::storage
