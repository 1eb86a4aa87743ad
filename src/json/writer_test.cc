#include "json/writer.h"

#include <gtest/gtest.h>

#include "json/parse.h"

namespace bulkhead::json {
namespace {

std::string write_sample(Style style) {
  std::string out;
  Writer writer(out, style);
  writer.begin_object();
  writer.member("text", "a");
  writer.key("list");
  writer.begin_array();
  writer.integer(1);
  writer.boolean(false);
  writer.null();
  writer.begin_object();
  writer.end_object();
  writer.begin_array();
  writer.end_array();
  writer.end_array();
  writer.member("flag", true);
  writer.member("least", std::numeric_limits<std::int64_t>::min());
  writer.member("greatest", std::numeric_limits<std::uint64_t>::max());
  writer.end_object();
  return out;
}

TEST(Writer, WritesCompactText) {
  EXPECT_EQ(write_sample(Style::kCompact),
            R"({"text":"a","list":[1,false,null,{},[]],"flag":true,"least":-9223372036854775808,)"
            R"("greatest":18446744073709551615})");
}

TEST(Writer, WritesIndentedText) {
  EXPECT_EQ(write_sample(Style::kIndented), R"({
  "text": "a",
  "list": [
    1,
    false,
    null,
    {},
    []
  ],
  "flag": true,
  "least": -9223372036854775808,
  "greatest": 18446744073709551615
})");
}

TEST(Writer, EscapesWhatAStringMayNotHold) {
  std::string out;
  append_string(out, std::string_view("\"\\\n\r\t\x01\x1f\x7f\0/", 10));
  EXPECT_EQ(out, R"("\"\\\n\r\t\u0001\u001f\u007f\u0000/")");
}

TEST(Writer, KeepsUtf8AndReplacesOtherBytes) {
  std::string out;
  append_string(out, "\u00e9\u20ac\U0001f600");
  EXPECT_EQ(out, "\"\u00e9\u20ac\U0001f600\"");
  out.clear();
  append_string(out, "a\xff\xc0\xaf z\xe2\x82");
  EXPECT_EQ(out, "\"a\uFFFD\uFFFD\uFFFD z\uFFFD\uFFFD\"");
  EXPECT_TRUE(parse(out).has_value());
}

TEST(Writer, WritesWhatWasRead) {
  const std::string text =
      R"({"a":[1,-2,3.50e1,"x\n",true,null],"b":{"c":{}},"":18446744073709551616})";
  const auto document = parse(text);
  ASSERT_TRUE(document.has_value());
  std::string out;
  Writer writer(out);
  writer.value(document->root());
  EXPECT_EQ(out, text);
}

}  // namespace
}  // namespace bulkhead::json
