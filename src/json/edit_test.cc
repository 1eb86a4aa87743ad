#include "json/edit.h"

#include <gtest/gtest.h>

#include "json/parse.h"

namespace bulkhead::json {
namespace {

constexpr const char* kTexts[] = {
    "{}",
    "{ }\n",
    "{\n}\n",
    R"({"a": 1})",
    R"({"a":1,"b":[1,{"c":"}"}],"d":"\"{,"})",
    "\n\t{\r\n  \"a\" : null ,\r\n  \"b\" : -1.5e3\r\n}\r\n\r\n",
    R"({"x": {"y": {}}, "z": true})",
};

TEST(JsonEdit, AddingAndTakingAwayAgainLeavesEveryByte) {
  for (const std::string_view text : kTexts) {
    const auto object = object_at(text, 0);
    ASSERT_TRUE(object) << text;
    const std::string added = with_first_member(text, *object, "\n  ", R"("new": {"p": "q"})");
    const auto document = parse(added);
    ASSERT_TRUE(document) << added;
    ASSERT_NE(document->root().find("new"), nullptr) << added;
    EXPECT_EQ(document->root().members().size(), object->members.size() + 1) << added;
    const auto again = object_at(added, 0);
    ASSERT_TRUE(again);
    ASSERT_NE(again->find("new"), nullptr);
    EXPECT_EQ(without_member(added, *again, *again->find("new")), text);
  }
}

TEST(JsonEdit, AnyMemberCanBeTakenAway) {
  const std::string_view text = R"({"a": 1, "b": {"x": [","]}, "c": 3})";
  const auto object = object_at(text, 0);
  ASSERT_TRUE(object);
  ASSERT_EQ(object->members.size(), 3U);
  EXPECT_EQ(without_member(text, *object, object->members[0]), R"({ "b": {"x": [","]}, "c": 3})");
  EXPECT_EQ(without_member(text, *object, object->members[1]), R"({"a": 1, "c": 3})");
  EXPECT_EQ(without_member(text, *object, object->members[2]), R"({"a": 1, "b": {"x": [","]}})");
}

TEST(JsonEdit, ValuesAreReplacedInPlace) {
  const std::string_view text = "{\"a\" : [1, 2] ,\n \"b\":\"x\"}";
  const auto object = object_at(text, 0);
  ASSERT_TRUE(object);
  EXPECT_EQ(with_value(text, *object->find("a"), "7"), "{\"a\" : 7 ,\n \"b\":\"x\"}");
  EXPECT_EQ(with_value(text, *object->find("b"), "{}"), "{\"a\" : [1, 2] ,\n \"b\":{}}");
}

TEST(JsonEdit, KeysAreDecoded) {
  const auto object = object_at(R"({"r\u0075n\"": 1})", 0);
  ASSERT_TRUE(object);
  EXPECT_NE(object->find("run\""), nullptr);
}

TEST(JsonEdit, OtherValuesAreNoObjects) {
  for (const std::string_view text : {"[]", "\"{}\"", "1", "null", ""})
    EXPECT_FALSE(object_at(text, 0)) << text;
}

}  // namespace
}  // namespace bulkhead::json
