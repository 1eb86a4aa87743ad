#include "base/text.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

TEST(Quoted, LeavesPlainTextAndValidUtf8Alone) {
  EXPECT_EQ(quoted("abc"), "\"abc\"");
  EXPECT_EQ(quoted("gr\u00fc\u00df"), "\"gr\u00fc\u00df\"");
}

TEST(Quoted, EscapesWhatSteersATerminal) {
  EXPECT_EQ(quoted("\x1b[2J"), "\"\\x1b[2J\"");
  EXPECT_EQ(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\n\"");
  EXPECT_EQ(quoted("\xc2\x9b"
                   "31m"),
            "\"\\xc2\\x9b31m\"");
}

TEST(Quoted, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(quoted("\xff"), "\"\\xff\"");
  EXPECT_EQ(quoted("\xc0\xaf"), "\"\\xc0\\xaf\"");           // overlong slash
  EXPECT_EQ(quoted("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");  // surrogate
}

TEST(Quoted, CutsLongText) { EXPECT_EQ(quoted("abcdef", 3), "\"abc\"\u2026"); }

TEST(ParseNumber, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(parse_number<int>("42"), 42);
  EXPECT_EQ(parse_number<int>("-1"), -1);
  EXPECT_EQ(parse_number<unsigned>("-1"), std::nullopt);
  EXPECT_EQ(parse_number<unsigned>("4294967296"), std::nullopt);
  EXPECT_EQ(parse_number<int>("1x"), std::nullopt);
  EXPECT_EQ(parse_number<int>(""), std::nullopt);
  EXPECT_EQ(parse_number<int>(" 1"), std::nullopt);
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
}

TEST(NextField, ConsumesTheSeparator) {
  std::string_view rest = "a:b:c";
  EXPECT_EQ(next_field(rest, ':'), "a");
  EXPECT_EQ(next_field(rest, ':'), "b");
  EXPECT_EQ(next_field(rest, ':'), "c");
  EXPECT_EQ(rest, "");
}

TEST(Trim, TakesWhiteSpaceOffBothEnds) {
  EXPECT_EQ(trim("  a b \n"), "a b");
  EXPECT_EQ(trim(" \t"), "");
}

}  // namespace
}  // namespace bulkhead
