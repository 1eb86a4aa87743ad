#include "cli/runtime/flags.h"

#include <gtest/gtest.h>

namespace bulkhead::cli {
namespace {

struct Given {
  bool detach = false;
  bool tty = false;
  std::optional<bool> privs;
  std::string bundle;
  std::optional<std::string> memory;
  std::uint32_t fds = 0;
  std::vector<std::string> env;

  std::vector<Flag> flags() {
    return {{"detach", 'd', &detach, "", "return at once"},
            {"tty", 't', &tty, "", "a terminal"},
            {"no-new-privs", 0, &privs, "", "no privileges"},
            {"bundle", 'b', &bundle, "DIR", "the bundle"},
            {"memory", 0, &memory, "BYTES", "a limit"},
            {"preserve-fds", 0, &fds, "N", "descriptors"},
            {"env", 'e', &env, "NAME=VALUE", "environment"},
            {"hidden", 0, &bundle, "X", ""}};
  }
  Result<Parsed> parse(std::vector<std::string_view> words, Order order = Order::kAnywhere) {
    const auto all = flags();
    return parse_flags(all, words, order);
  }
};

TEST(Flags, MayBeWrittenInAllFormsThatCallersUse) {
  for (const std::vector<std::string_view>& words :
       std::vector<std::vector<std::string_view>>{{"--bundle", "x", "id"},
                                                  {"--bundle=x", "id"},
                                                  {"-bundle", "x", "id"},
                                                  {"-bundle=x", "id"},
                                                  {"-b", "x", "id"},
                                                  {"-b=x", "id"},
                                                  {"id", "--bundle", "x"}}) {
    Given given;
    const auto parsed = given.parse(words);
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(given.bundle, "x");
    EXPECT_EQ(parsed->arguments, std::vector<std::string_view>{"id"});
  }
}

TEST(Flags, TakeEmptyValuesAndValuesThatLookLikeFlags) {
  Given given;
  ASSERT_TRUE(given.parse({"--bundle=", "--memory", "-1", "--env", "A=b=c", "--env=", "-"}));
  EXPECT_EQ(given.bundle, "");
  EXPECT_EQ(given.memory, "-1");
  EXPECT_EQ(given.env, (std::vector<std::string>{"A=b=c", ""}));
}

TEST(Flags, ADashAloneIsAnArgument) {
  Given given;
  EXPECT_EQ(given.parse({"-"})->arguments, std::vector<std::string_view>{"-"});
}

TEST(Flags, MayBeSwitchedOffByAValue) {
  Given given;
  given.detach = true;
  ASSERT_TRUE(given.parse({"--detach=false", "--tty", "--no-new-privs=0"}));
  EXPECT_FALSE(given.detach);
  EXPECT_TRUE(given.tty);
  EXPECT_EQ(given.privs, false);
}

TEST(Flags, ASwitchDoesNotSwallowTheArgumentBehindIt) {
  Given given;
  EXPECT_EQ(given.parse({"--detach", "false"})->arguments, std::vector<std::string_view>{"false"});
}

TEST(Flags, OfOneLetterMayStandTogether) {
  Given given;
  ASSERT_TRUE(given.parse({"-dt", "-te", "A=1"}));
  EXPECT_TRUE(given.detach && given.tty);
  EXPECT_EQ(given.env, std::vector<std::string>{"A=1"});
  EXPECT_EQ(given.parse({"-et", "A=1"}).error().message(), "flag provided but not defined: -et");
}

TEST(Flags, EndWithTwoDashes) {
  Given given;
  EXPECT_EQ(given.parse({"--detach", "--", "--tty"})->arguments,
            std::vector<std::string_view>{"--tty"});
  EXPECT_FALSE(given.tty);
}

TEST(Flags, EndWithTheFirstArgumentWhereACommandFollows) {
  Given given;
  const auto parsed = given.parse({"-t", "id", "ls", "-d", "--help"}, Order::kBeforeArguments);
  EXPECT_EQ(parsed->arguments, (std::vector<std::string_view>{"id", "ls", "-d", "--help"}));
  EXPECT_FALSE(given.detach);
  EXPECT_FALSE(parsed->help);
}

TEST(Flags, AskForHelpInAnyForm) {
  for (const char* word : {"--help", "-help", "-h"}) EXPECT_TRUE(Given().parse({word})->help);
}

TEST(Flags, FailInTheWordsThatCallersLookFor) {
  EXPECT_EQ(Given().parse({"--bundle"}).error().message(), "flag needs an argument: -bundle");
  EXPECT_EQ(Given().parse({"--bandle", "x"}).error().message(),
            "flag provided but not defined: -bandle");
  EXPECT_EQ(Given().parse({"--detach=perhaps"}).error().message(),
            "invalid value \"perhaps\" for flag -detach: true or false is expected");
  for (const char* number : {"-1", "4294967296", "1.5", "", "0x10", "1 "})
    EXPECT_FALSE(Given().parse({"--preserve-fds", number})) << number;
}

TEST(Flags, AreDescribedOneALineWithoutTheHiddenOnes) {
  Given given;
  const std::string text = describe_flags(given.flags());
  EXPECT_NE(text.find("  -b, --bundle DIR"), std::string::npos);
  EXPECT_NE(text.find("      --no-new-privs   "), std::string::npos);
  EXPECT_EQ(text.find("hidden"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::cli
