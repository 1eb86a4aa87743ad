#include "json/parse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>

namespace bulkhead::json {
namespace {

std::string error_of(std::string_view text, const Limits& limits = {}) {
  const auto document = parse(text, limits);
  if (document) return "accepted";
  EXPECT_EQ(document.error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(document.error().hint().empty());
  return document.error().message();
}

bool accepts(std::string_view text) { return parse(text).has_value(); }

TEST(Parse, ReadsEveryKindOfValue) {
  const auto document = parse(
      R"({"null": null, "yes": true, "no": false, "n": 18446744073709551615, "z": -9223372036854775808,
          "f": 1.5e3, "s": "a\"\\\/\b\f\n\r\té\u20ac\ud83d\ude00", "a": [1, [], {}], "o": {"k": "v"}})");
  ASSERT_TRUE(document.has_value());
  const Value& root = document->root();
  EXPECT_EQ(root.type(), Type::kObject);
  EXPECT_EQ(root.members().size(), 9U);
  EXPECT_TRUE(root.find("null")->is_null());
  EXPECT_TRUE(root.find("yes")->as_boolean());
  EXPECT_FALSE(root.find("no")->as_boolean());
  EXPECT_EQ(root.find("n")->as_uint64(), 18446744073709551615U);
  EXPECT_EQ(root.find("n")->as_int64(), std::nullopt);
  EXPECT_EQ(root.find("z")->as_int64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(root.find("z")->as_uint64(), std::nullopt);
  EXPECT_EQ(root.find("f")->type(), Type::kFraction);
  EXPECT_EQ(root.find("f")->fraction_text(), "1.5e3");
  EXPECT_EQ(root.find("s")->as_string(), "a\"\\/\b\f\n\r\t\u00e9\u20ac\U0001f600");
  EXPECT_EQ(root.find("a")->items().size(), 3U);
  EXPECT_EQ(root.find("a")->items()[0].as_int64(), 1);
  EXPECT_EQ(root.find("o")->find("k")->as_string(), "v");
  EXPECT_EQ(root.find("absent"), nullptr);
}

TEST(Parse, ReadsAnyValueAsTheWholeText) {
  EXPECT_TRUE(parse(" \t\r\n\"x\" ")->root().as_string() == "x");
  EXPECT_TRUE(accepts("0"));
  EXPECT_TRUE(accepts("-0"));
  EXPECT_TRUE(accepts("null"));
  EXPECT_TRUE(accepts("[]"));
}

TEST(Parse, KeepsTheOrderOfMembers) {
  const auto document = parse(R"({"b":1,"a":2,"":3})");
  ASSERT_TRUE(document.has_value());
  const auto members = document->root().members();
  EXPECT_EQ(members[0].key, "b");
  EXPECT_EQ(members[1].key, "a");
  EXPECT_EQ(members[2].key, "");
}

TEST(Parse, KeepsIntegersThatNoTypeHoldsAsTheyAreWritten) {
  for (const std::string_view text : {"18446744073709551616", "-9223372036854775809", "1e3", "1.0",
                                      "-1.9", "1E-7", "123456789012345678901234567890"}) {
    const auto document = parse(text);
    ASSERT_TRUE(document.has_value()) << text;
    EXPECT_EQ(document->root().type(), Type::kFraction) << text;
    EXPECT_EQ(document->root().fraction_text(), text);
    EXPECT_EQ(document->root().as_int64(), std::nullopt);
    EXPECT_EQ(document->root().as_uint64(), std::nullopt);
  }
}

TEST(Parse, RefusesWhatIsNotJson) {
  for (const std::string_view text :
       {"",         " ",           "{",          "[",        "]",
        "{]",       "[}",          "{\"a\"}",    "{\"a\":}", "{\"a\":1,}",
        "[1,]",     "[,1]",        "{,}",        "[1 2]",    "{\"a\":1 \"b\":2}",
        "{a:1}",    "{'a':1}",     "{1:2}",      "nul",      "nulll",
        "True",     "01",          "-",          "-01",      "+1",
        ".5",       "1.",          "1e",         "1e+",      "0x10",
        "NaN",      "Infinity",    "--1",        "\"",       "\"\\\"",
        "\"\\x\"",  "\"\\u12g4\"", "\"\\u123\"", "\"\t\"",   "\"\n\"",
        "\"\x01\"", "/**/1",       "1//",        "1 2",      "{} {}",
        "{}x",      "[]]",         "\"a\"b"}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
}

TEST(Parse, RefusesLoneSurrogates) {
  EXPECT_FALSE(accepts(R"("\ud800")"));
  EXPECT_FALSE(accepts(R"("\udc00")"));
  EXPECT_FALSE(accepts(R"("\ud800\ud800")"));
  EXPECT_FALSE(accepts(R"("\ud800x")"));
  EXPECT_FALSE(accepts(R"("\ud800\n")"));
}

TEST(Parse, RefusesBytesThatAreNotUtf8) {
  for (const std::string_view bytes : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82",
                                       "\xf4\x90\x80\x80", "\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(accepts(std::string("\"").append(bytes).append("\""))) << bytes;
    EXPECT_FALSE(accepts(std::string("{\"").append(bytes).append("\":1}"))) << bytes;
  }
  EXPECT_TRUE(accepts("\"\xf4\x8f\xbf\xbf\""));
}

TEST(Parse, RefusesAByteOrderMarkAndNulBytes) {
  EXPECT_EQ(error_of("\xEF\xBB\xBF{}"), "line 1, column 1: a byte order mark");
  EXPECT_EQ(error_of(std::string_view("{}\n\0junk", 8)), "line 2, column 1: a NUL byte");
}

TEST(Parse, NamesLineAndColumnOfASyntaxError) {
  EXPECT_TRUE(error_of("{\n  \"a\": 1,\n  b\n}").starts_with("line 3, column 3: "))
      << error_of("{\n  \"a\": 1,\n  b\n}");
  EXPECT_TRUE(error_of("{]").starts_with("line 1, column 2: ")) << error_of("{]");
}

TEST(Parse, RefusesKeysThatStandTwice) {
  EXPECT_EQ(error_of(R"({"a":1,"b":2,"a":3})"), "/a: the key stands twice in one object");
  EXPECT_EQ(error_of(R"([0,{"x":[{"p":1,"p":1}]}])"),
            "/1/x/0/p: the key stands twice in one object");
  EXPECT_EQ(error_of(R"({"\u0061":1,"a":2})"), "/a: the key stands twice in one object");
  EXPECT_TRUE(accepts(R"({"a":{"a":{"a":1}}})"));
}

TEST(Parse, RefusesKeysThatStandTwiceInLargeObjects) {
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_TRUE(accepts(text + "\"last\":0}"));
  EXPECT_EQ(error_of(text + "\"k42\":0}"), "/k42: the key stands twice in one object");
}

TEST(Parse, EscapesPointersInErrors) {
  EXPECT_EQ(error_of(R"({"a/b":{"~":1,"~":2}})"), "/a~1b/~0: the key stands twice in one object");
  EXPECT_EQ(error_of("{\"\\u001b[2J\":1,\"\\u001b[2J\":2}"),
            "/\\x1b[2J: the key stands twice in one object");
}

TEST(Parse, LimitsDepth) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(accepts(nested(64)));
  EXPECT_NE(error_of(nested(65)).find("nested deeper than 64 levels"), std::string::npos);
  EXPECT_NE(error_of(std::string(1000000, '[')).find("nested deeper"), std::string::npos);
  EXPECT_EQ(error_of(R"({"a":[{"b":[]}]})", {.depth = 3}), "/a/0/b: nested deeper than 3 levels");
}

TEST(Parse, LimitsSizeAndNumberOfValues) {
  EXPECT_EQ(error_of("[1]", {.bytes = 2}), "the JSON text has 3 bytes; at most 2 are read");
  EXPECT_EQ(error_of("[1,2,3]", {.values = 2}), "the document holds more than 2 values");
}

// A quadratic check of a million keys would take hours.
// CPU time, the least of three: what else the machine does is no part of it.
double seconds_to_parse_members(int count) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) text += "\"" + std::to_string(i) + "\":0,";
  text += "\"x\":0}";
  double least = 1e9;
  for (int round = 0; round < 3; ++round) {
    const std::clock_t start = std::clock();
    EXPECT_TRUE(accepts(text));
    least = std::min(least, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return least;
}

TEST(Parse, IsNotQuadraticForObjectsOfManyMembers) {
  // Eight times the members: about eight times the work, where comparing all pairs would be 64 times.
  EXPECT_LT(seconds_to_parse_members(160000), 30 * seconds_to_parse_members(20000));
}

TEST(Parse, ReportsNoRawBytesOfTheText) {
  const std::string message = error_of("{\"a\": \x1b[31m\xff}");
  for (const char c : message) EXPECT_TRUE(c >= 0x20 && c <= 0x7E) << message;
}

}  // namespace
}  // namespace bulkhead::json
