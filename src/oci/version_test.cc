#include "oci/version.h"

#include <gtest/gtest.h>

namespace bulkhead::oci {
namespace {

TEST(ParseVersion, ReadsSemanticVersions) {
  const auto version = parse_version("1.22.333-rc.1+build.007");
  ASSERT_TRUE(version.has_value());
  EXPECT_EQ(version->major, 1U);
  EXPECT_EQ(version->minor, 22U);
  EXPECT_EQ(version->patch, 333U);
  EXPECT_TRUE(parse_version("1.0.0-dev").has_value());
  EXPECT_TRUE(parse_version("1.0.0-0a").has_value());
  EXPECT_TRUE(parse_version("1.0.0+a-b").has_value());
  EXPECT_TRUE(parse_version("1.0.0--").has_value());
}

TEST(ParseVersion, RefusesEverythingElse) {
  for (const char* text :
       {"", "1", "1.0", "1.0.0.0", "1.0.x", "01.0.0", "1.00.0", "1.0.0-", "1.0.0+", "1.0.0-01",
        "1.0.0-a..b", "1.0.0-a_b", " 1.0.0", "1.0.0 ", "4294967296.0.0", "-1.0.0"}) {
    EXPECT_FALSE(parse_version(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace bulkhead::oci
