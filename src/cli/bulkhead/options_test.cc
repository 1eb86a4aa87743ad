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

TEST(RunOptions, SayOfEachMissingOptionOfDockersWhatToDoInstead) {
  for (const Unsupported& missing : unsupported_run_options()) {
    bulkhead::engine::RunOptions options;
    const std::string word = "--" + std::string(missing.name);
    const auto done = parsed({word, "x", "busybox"}, options);
    ASSERT_FALSE(done) << word;
    EXPECT_EQ(done.error().kind(), ErrorKind::kUsage);
    EXPECT_NE(done.error().message().find(word + " is not supported: "), std::string::npos)
        << done.error().message();
    EXPECT_FALSE(done.error().hint().empty()) << word;
  }
  for (const char* letter : {"-p", "-a", "-P", "-q"}) {
    bulkhead::engine::RunOptions options;
    const auto done = parsed({letter, "x", "busybox"}, options);
    ASSERT_FALSE(done) << letter;
    EXPECT_NE(done.error().message().find("is not supported: "), std::string::npos);
  }
}

TEST(RunOptions, AreNotSupportedAndUnsupportedAtOnce) {
  bulkhead::engine::RunOptions run;
  for (const Option& option : run_options(run))
    for (const Unsupported& missing : unsupported_run_options()) {
      EXPECT_NE(option.name, missing.name);
      if (option.letter != 0) {
        EXPECT_NE(option.letter, missing.letter) << option.name;
      }
    }
}

TEST(RunOptions, KnowOtherNamesOfOptions) {
  bulkhead::engine::RunOptions options;
  ASSERT_TRUE(
      parsed({"--net=host", "--sig-proxy=false", "-lx=y", "-c", "512", "busybox"}, options));
  EXPECT_EQ(options.network, "host");
  EXPECT_FALSE(options.pass_signals);
  EXPECT_EQ(options.labels, (std::vector<std::string>{"x=y"}));
  EXPECT_EQ(options.cpu_shares, "512");
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
  for (const char* heading : {"\nLimits:\n", "\nFiles:\n", "\nIsolation:\n"})
    EXPECT_NE(help.find(heading), std::string::npos) << heading;
  EXPECT_NE(help.find("Examples:"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::cli::engine
