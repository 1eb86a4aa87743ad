// The small languages of the commands on images.
#include <gtest/gtest.h>

#include "engine/image_changes.h"
#include "engine/image_filter.h"
#include "engine/image_time.h"

namespace bulkhead::engine {
namespace {

TEST(ImageTime, IsRead) {
  EXPECT_EQ(parse_time("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_time("1970-01-01"), 0);
  EXPECT_EQ(parse_time("2024-05-01T10:00:00.123456789Z"), 1714557600);
  EXPECT_EQ(parse_time("2024-05-01T12:00:00+02:00"), 1714557600);
  for (const char* text : {"", "2024", "2024-13-01", "2024-05-01T", "2024-05-01T10:00:00",
                           "2024-05-01T10:00:00.Z", "2024-05-01T10:00:00Zx", "x024-05-01"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(ImageTime, IsToldAsDockerTellsIt) {
  EXPECT_EQ(describe_duration(0), "Less than a second");
  EXPECT_EQ(describe_duration(59), "59 seconds");
  EXPECT_EQ(describe_duration(60), "About a minute");
  EXPECT_EQ(describe_duration(3600), "About an hour");
  EXPECT_EQ(describe_duration(47 * 3600), "47 hours");
  EXPECT_EQ(describe_duration(48 * 3600), "2 days");
  EXPECT_EQ(describe_duration(15 * 24 * 3600), "2 weeks");
  EXPECT_EQ(describe_duration(90 * 24 * 3600), "3 months");
  EXPECT_EQ(describe_duration(std::int64_t{3} * 365 * 24 * 3600), "3 years");
}

TEST(ImageSize, IsToldAsDockerTellsIt) {
  EXPECT_EQ(describe_size(0), "0B");
  EXPECT_EQ(describe_size(999), "999B");
  EXPECT_EQ(describe_size(4'263'000), "4.26MB");
  EXPECT_EQ(describe_size(999'999), "1000kB");
  EXPECT_EQ(describe_size(77'800'000), "77.8MB");
}

oci::ExecutionParameters changed(std::initializer_list<const char*> changes) {
  oci::ExecutionParameters config;
  for (const char* change : changes) EXPECT_TRUE(apply_change(change, config)) << change;
  return config;
}

TEST(ImageChange, IsAppliedAsADockerfileHasIt) {
  const auto config = changed({"cmd [\"a\", \"b c\"]", "ENV A=1 B=\"x y\"", "ENV C all of this",
                               "ENV A=2", "LABEL k='v w'", "EXPOSE 80 53/udp"});
  EXPECT_EQ(config.cmd, (std::vector<std::string>{"a", "b c"}));
  EXPECT_EQ(config.env, (std::vector<std::string>{"A=2", "B=x y", "C=all of this"}));
  EXPECT_EQ(config.labels.at("k"), "v w");
  EXPECT_EQ(config.exposed_ports.size(), 2U);
  EXPECT_EQ(changed({"CMD echo hi"}).cmd, (std::vector<std::string>{"/bin/sh", "-c", "echo hi"}));
  EXPECT_TRUE(changed({"CMD x", "ENTRYPOINT y"}).cmd.empty());
}

TEST(ImageChange, IsRefusedWhenItIsNone) {
  oci::ExecutionParameters config;
  for (const char* change : {"", "CMD", "ENV", "ENV x", "ENV 'a=1", "EXPOSE 0", "EXPOSE 80/xyz",
                             "WORKDIR rel", "VOLUME rel", "RUN x", "HEALTHCHECK NONE"})
    EXPECT_FALSE(apply_change(change, config)) << change;
}

TEST(PruneFilter, IsAKeyAndAValue) {
  EXPECT_EQ(parse_prune_filter("label=a=b")->value, "a=b");
  EXPECT_FALSE(parse_prune_filter("label"));
  EXPECT_FALSE(ImageFilter::for_prune({{"until", "yesterday"}}));
  EXPECT_FALSE(ImageFilter::for_prune({{"colour", "red"}}));
  EXPECT_TRUE(ImageFilter::for_prune({{"until", "24h"}}));
}

}  // namespace
}  // namespace bulkhead::engine
