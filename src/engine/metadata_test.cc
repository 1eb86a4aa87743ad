#include "engine/metadata.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace bulkhead::engine {
namespace {

TEST(EnvironmentFiles, AreReadAsDockerReadsThem) {
  const auto entries = parse_environment_file(
      "f", "# comment\n\n  A=1\nB= two words \nC=\"quoted\"\r\n\tD=a=b\nHOME\n#X=1\nE=\n");
  ASSERT_TRUE(entries) << entries.error().message();
  EXPECT_EQ(*entries, (std::vector<std::string>{"A=1", "B= two words ", "C=\"quoted\"", "D=a=b",
                                                "HOME", "E="}));
}

TEST(EnvironmentFiles, SayWhichLineIsWrong) {
  for (const auto& [text, word] : std::vector<std::pair<std::string, std::string>>{
           {"A=1\n=2\n", "line 2: no name"},
           {"A B=1\n", "line 1: the name \"A B\" contains whitespace"},
           {"\n\nA=\xff\n", "line 3: invalid UTF-8"},
           {std::string("A=\0", 3), "line 1: invalid UTF-8, or a NUL"}}) {
    const auto entries = parse_environment_file("f", text);
    ASSERT_FALSE(entries) << text;
    EXPECT_NE(entries.error().message().find(word), std::string::npos) << entries.error().message();
  }
}

TEST(Environment, TakesFilesFirstAndNamesFromUs) {
  RunOptions options;
  options.env_files = {"/dev/null"};
  options.env = {"A=1", "BULKHEAD_TEST_SET", "BULKHEAD_TEST_UNSET"};
  ::setenv("BULKHEAD_TEST_SET", "ours", 1);
  EXPECT_EQ(read_environment(options), (std::vector<std::string>{"A=1", "BULKHEAD_TEST_SET=ours"}));
  options.env_files = {"/no/such/file"};
  EXPECT_FALSE(read_environment(options));
  options = {};
  options.env = {"=x"};
  EXPECT_FALSE(read_environment(options));
}

TEST(Metadata, KeepsTheLastLabelOfAName) {
  RunOptions options;
  options.labels = {"a=1", "b", "a=2", "c=x=y"};
  options.annotations = {"org.example=1"};
  options.tenant = "team-a";
  const auto metadata = read_metadata(options);
  ASSERT_TRUE(metadata) << metadata.error().message();
  EXPECT_EQ(metadata->labels, (Labels{{"a", "2"}, {"b", ""}, {"c", "x=y"}}));
  EXPECT_EQ(metadata->annotations.at("org.example"), "1");
  EXPECT_EQ(metadata->tenant, "team-a");
}

TEST(Metadata, LetsNobodySpeakForBulkhead) {
  for (const char* name : {"org.bulkhead.tenant=other", "org.bulkhead.landlock={}"}) {
    RunOptions options;
    options.annotations = {name};
    EXPECT_FALSE(read_metadata(options)) << name;
    options.annotations = {};
    options.labels = {name};
    EXPECT_FALSE(read_metadata(options)) << name;
  }
  RunOptions options;
  options.tenant = "a/b";
  EXPECT_FALSE(read_metadata(options));
  options = {};
  options.labels = {"x=" + std::string(70'000, 'y')};
  EXPECT_FALSE(read_metadata(options));
}

TEST(Metadata, KnowsSignals) {
  RunOptions options;
  options.stop_signal = "SIGRTMIN+3";
  const auto known = read_metadata(options);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->stop_signal, SIGRTMIN + 3);
  for (const char* text : {"", "0", "-1", "SIG", "BANANA", "99", "RTMIN+99", "SIGSIGTERM"}) {
    options.stop_signal = text;
    EXPECT_FALSE(read_metadata(options)) << text;
  }
}

TEST(Metadata, ReadsPortsAndTimes) {
  EXPECT_EQ(parse_exposed("80"), (std::vector<std::string>{"80/tcp"}));
  EXPECT_EQ(parse_exposed("53-54/udp"), (std::vector<std::string>{"53/udp", "54/udp"}));
  for (const char* text : {"", "0", "65536", "80/", "80/icmp", "80-", "90-80", "-80", "1-60000"})
    EXPECT_FALSE(parse_exposed(text)) << text;
  RunOptions options;
  options.expose = {"80", "80/tcp", "53/udp"};
  EXPECT_EQ(read_metadata(options)->exposed_ports, (std::vector<std::string>{"53/udp", "80/tcp"}));
  options.stop_timeout = "-1";
  EXPECT_EQ(read_metadata(options)->stop_timeout_seconds, -1);
  for (const char* text : {"", "x", "-2", "99999999999"}) {
    options.stop_timeout = text;
    EXPECT_FALSE(read_metadata(options)) << text;
  }
}

}  // namespace
}  // namespace bulkhead::engine
