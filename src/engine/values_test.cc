#include "engine/values.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

TEST(Values, ReadsSizesInPowersOf1024) {
  EXPECT_EQ(parse_bytes("512m"), 512LL << 20);
  EXPECT_EQ(parse_bytes("1g"), 1LL << 30);
  EXPECT_EQ(parse_bytes("1GiB"), 1LL << 30);
  EXPECT_EQ(parse_bytes("100KB"), 100LL << 10);
  EXPECT_EQ(parse_bytes("1048576"), 1048576);
  EXPECT_EQ(parse_bytes("7b"), 7);
}

TEST(Values, RefusesSizesThatAreNone) {
  for (const char* text :
       {"", "m", "-1", "1.5g", "1x", "1mm", "0x10", " 1", "9223372036854775807k", "1 m"})
    EXPECT_FALSE(parse_bytes(text)) << text;
}

TEST(Values, ReadsCpusAsThousandths) {
  EXPECT_EQ(parse_cpus("1.5"), 1500);
  EXPECT_EQ(parse_cpus("2"), 2000);
  EXPECT_EQ(parse_cpus("0.01"), 10);
  EXPECT_EQ(parse_cpus("0.125"), 125);
  for (const char* text : {"", ".", ".5", "1.5555", "-1", "1e3", "1,5", "99999999"})
    EXPECT_FALSE(parse_cpus(text)) << text;
}

TEST(Values, ReadsDurations) {
  EXPECT_EQ(parse_duration("10"), 10'000);
  EXPECT_EQ(parse_duration("500ms"), 500);
  EXPECT_EQ(parse_duration("1m30s"), 90'000);
  EXPECT_EQ(parse_duration("2h"), 7'200'000);
  for (const char* text :
       {"", "0", "0s", "s", "5s10m", "10 s", "-1s", "1d", "5s5", "99999999h", "1m1m"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Values, KnowsHostAndContainerNames) {
  for (const char* text : {"a", "web-1", "a.b.c", "A0_b"}) EXPECT_TRUE(is_host_name(text)) << text;
  for (const char* text : {"", "-a", "a-", "a..b", "a/b", "a b", "\xC3\xA4"})
    EXPECT_FALSE(is_host_name(text)) << text;
  EXPECT_FALSE(is_host_name(std::string(65, 'a')));
  for (const char* text : {"a", "web_1.2-3"}) EXPECT_TRUE(is_container_name(text)) << text;
  for (const char* text : {"", ".", "..", "-a", "a/b", "_a", "a b", "../x"})
    EXPECT_FALSE(is_container_name(text)) << text;
}

}  // namespace
}  // namespace bulkhead::engine
