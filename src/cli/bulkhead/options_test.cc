#include "cli/bulkhead/options.h"

#include <gtest/gtest.h>

#include "cli/bulkhead/run_options.h"

namespace bulkhead::cli::engine {
namespace {

Result<bool> parsed(std::vector<std::string_view> words, bulkhead::engine::RunOptions& options) {
  return parse_run(words, options);
}

TEST(RunOptions, AreTakenAsDockersUsersTypeThem) {
  bulkhead::engine::RunOptions options;
  const auto done =
      parsed({"--rm", "-it", "-m512m", "--cpus=1.5", "-e", "A=1", "-eB=2", "-u=1000",
              "--cap-drop=ALL", "--read-only=true", "-v", "/a:/b", "busybox", "ls", "-l", "--rm"},
             options);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(*done);
  EXPECT_TRUE(options.remove);
  EXPECT_TRUE(options.interactive);
  EXPECT_TRUE(options.terminal);
  EXPECT_TRUE(options.read_only);
  EXPECT_EQ(options.memory, "512m");
  EXPECT_EQ(options.cpus, "1.5");
  EXPECT_EQ(options.env, (std::vector<std::string>{"A=1", "B=2"}));
  EXPECT_EQ(options.user, "1000");
  EXPECT_EQ(options.image, "busybox");
  EXPECT_EQ(options.command, (std::vector<std::string>{"ls", "-l", "--rm"}));
}

TEST(RunOptions, HMeansTheHostNameAndNotHelp) {
  bulkhead::engine::RunOptions options;
  ASSERT_TRUE(parsed({"-h", "web", "busybox"}, options));
  EXPECT_EQ(options.hostname, "web");
}

TEST(RunOptions, NameDockersOptionsThatAreMissing) {
  for (const char* word : {"--privileged", "-p", "-d", "--device=/dev/kvm", "--userns=host"}) {
    bulkhead::engine::RunOptions options;
    const auto done = parsed({word, "x", "busybox"}, options);
    ASSERT_FALSE(done) << word;
    EXPECT_EQ(done.error().kind(), ErrorKind::kUsage);
    EXPECT_NE(done.error().message().find("not supported yet"), std::string::npos)
        << done.error().message();
  }
}

TEST(RunOptions, GuessWhatWasMeant) {
  bulkhead::engine::RunOptions options;
  const auto done = parsed({"--memmory", "1g", "busybox"}, options);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().hint(), "did you mean --memory?");
}

TEST(RunOptions, WantAnImageAndTheirValues) {
  for (const auto& words : std::vector<std::vector<std::string_view>>{{},
                                                                      {"--rm"},
                                                                      {"--memory"},
                                                                      {"--rm=perhaps", "busybox"},
                                                                      {"-x", "busybox"},
                                                                      {"--", "--rm"}}) {
    bulkhead::engine::RunOptions options;
    const auto done = parsed(words, options);
    if (!words.empty() && words[0] == "--")
      EXPECT_EQ(options.image, "--rm") << "after -- everything is an argument";
    else
      EXPECT_FALSE(done);
  }
}

TEST(RunOptions, AppearInTheHelp) {
  const std::string help = run_help("bulkhead run");
  bulkhead::engine::RunOptions options;
  for (const Option& option : run_options(options))
    EXPECT_NE(help.find("--" + std::string(option.name)), std::string::npos) << option.name;
  EXPECT_NE(help.find("Examples:"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::cli::engine
