#include "cli/bulkhead/docker_words.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bulkhead::cli::engine {
namespace {

TEST(DockerWords, SayOfEachMissingOptionWhyAndWhatInstead) {
  for (const std::string_view command : commands_with_docker_options()) {
    EXPECT_FALSE(docker_options(command).empty()) << command;
    for (const Unsupported& missing : docker_options(command)) {
      EXPECT_FALSE(missing.why.empty()) << command << " --" << missing.name;
      EXPECT_FALSE(missing.instead.empty()) << command << " --" << missing.name;
      const std::string word = "--" + std::string(missing.name);
      const std::string_view words[] = {word};
      const auto done = parse({{}, docker_options(command)}, words, Positionals::kAnywhere);
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().kind(), ErrorKind::kUsage);
      EXPECT_NE(done.error().message().find(word + " is not supported: "), std::string::npos);
    }
  }
}

TEST(DockerWords, AreNoneForACommandThatTakesAll) {
  EXPECT_TRUE(docker_options("kill").empty());
  EXPECT_TRUE(docker_options("no such command").empty());
}

TEST(DockerWords, SayOfEachMissingCommandWhyAndWhatInstead) {
  EXPECT_TRUE(std::ranges::is_sorted(docker_commands(), {}, &Unsupported::name));
  for (const Unsupported& missing : docker_commands()) {
    EXPECT_FALSE(missing.why.empty()) << missing.name;
    EXPECT_FALSE(missing.instead.empty()) << missing.name;
  }
}

}  // namespace
}  // namespace bulkhead::cli::engine
