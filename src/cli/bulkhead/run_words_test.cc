#include <gtest/gtest.h>

#include <array>

#include "cli/bulkhead/run_options.h"

namespace bulkhead::cli::engine {
namespace {

using Texts = std::vector<std::string>;
constexpr std::array<std::string_view, 3> kNames{"detach", "name", "rm"};

TEST(RunWords, LoseTheOptionsThatAreNamed) {
  EXPECT_EQ(
      without_options(Texts{"-d", "--name", "web", "-e", "A=b", "--rm", "busybox", "true"}, kNames),
      (Texts{"-e", "A=b", "busybox", "true"}));
  EXPECT_EQ(without_options(Texts{"--name=web", "--detach=true", "busybox"}, kNames),
            (Texts{"busybox"}));
}

TEST(RunWords, LoseSingleLettersOfAWord) {
  EXPECT_EQ(without_options(Texts{"-itd", "busybox"}, kNames), (Texts{"-it", "busybox"}));
  EXPECT_EQ(without_options(Texts{"-dm512m", "busybox"}, kNames), (Texts{"-m512m", "busybox"}));
  EXPECT_EQ(without_options(Texts{"-dm", "512m", "busybox"}, kNames),
            (Texts{"-m", "512m", "busybox"}));
}

TEST(RunWords, KeepWhatIsTheProgramsOwn) {
  EXPECT_EQ(without_options(Texts{"-d", "busybox", "ls", "-d", "--name", "x"}, kNames),
            (Texts{"busybox", "ls", "-d", "--name", "x"}));
  EXPECT_EQ(without_options(Texts{"-e", "--name", "busybox"}, kNames),
            (Texts{"-e", "--name", "busybox"}))
      << "a value that looks like an option";
}

}  // namespace
}  // namespace bulkhead::cli::engine
