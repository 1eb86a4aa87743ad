#include "engine/systemd_units.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

TEST(UnitWord, LeavesPlainWordsAndQuotesAllOthers) {
  EXPECT_EQ(unit_word("--name=web"), "--name=web");
  EXPECT_EQ(unit_word("/usr/bin/bulkhead"), "/usr/bin/bulkhead");
  EXPECT_EQ(unit_word(""), "\"\"");
  EXPECT_EQ(unit_word("a b"), "\"a b\"");
  EXPECT_EQ(unit_word("100%"), "\"100%%\"");
  EXPECT_EQ(unit_word("$HOME"), "\"$$HOME\"");
  EXPECT_EQ(unit_word("say \"hi\" \\"), "\"say \\\"hi\\\" \\\\\"");
  EXPECT_EQ(unit_word("two\nlines"), "\"two\\x0alines\"");
  EXPECT_EQ(unit_word("@x"), "\"@x\"");
  EXPECT_EQ(unit_word(";"), "\";\"") << "by itself it would separate commands";
}

UnitWish web() {
  UnitWish wish;
  wish.program = "/usr/bin/bulkhead";
  wish.name = wish.container = "web";
  wish.stop_seconds = 20;
  return wish;
}

TEST(Unit, StartsTheContainerThatThereIs) {
  const std::string text = unit_text(web());
  EXPECT_NE(text.find("\nExecStart=/usr/bin/bulkhead start --attach --sig-proxy=false web\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nExecStop=-/usr/bin/bulkhead stop --time 20 web\n"), std::string::npos);
  EXPECT_NE(text.find("\nRestart=on-failure\n"), std::string::npos);
  EXPECT_NE(text.find("\nTimeoutStopSec=80\n"), std::string::npos);
  EXPECT_EQ(text.find("ExecStartPre"), std::string::npos);
}

TEST(Unit, MakesTheContainerAnew) {
  UnitWish wish = web();
  wish.global = {"--root", "/data/my store"};
  wish.run_words = {"-e", "WORD=$x", "busybox", "sh", "-c", "sleep 5; exit"};
  const std::string text = unit_text(wish);
  EXPECT_NE(
      text.find("\nExecStart=/usr/bin/bulkhead --root \"/data/my store\" run --rm --name web -e "
                "\"WORD=$$x\" busybox sh -c \"sleep 5; exit\"\n"),
      std::string::npos)
      << text;
  EXPECT_NE(
      text.find("\nExecStartPre=-/usr/bin/bulkhead --root \"/data/my store\" rm --force web\n"),
      std::string::npos);
}

TEST(Unit, KnowsSystemdsRestartPolicies) {
  EXPECT_TRUE(is_unit_restart_policy("on-abnormal"));
  EXPECT_FALSE(is_unit_restart_policy("unless-stopped"));
}

}  // namespace
}  // namespace bulkhead::engine
