#include "engine/toml_text.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

const std::vector<TomlAddition> kAdditions{
    {{"engine"}, {{"switch", "true"}}},
    {{"engine", "runtimes"}, {{"bulkhead", "[\"/x\"]"}}},
    {{"plugins", "a.b", "deep"}, {{"one", "1"}, {"two", "\"2\""}}},
};

constexpr const char* kTexts[] = {
    "",
    "\n",
    "# only a comment",
    "[engine]",
    "[engine]\n",
    "[engine] # words\nother = [\n  \"[engine.runtimes]\", # here, too\n]\n\n[last]\nx = {a = 1}",
    "top = 1\r\n[engine.runtimes]\r\nrunc = [\"/r\"]\r\n[engine]\r\n",
    "s = \"\"\"\n[engine]\n\\\"\"\"\"\"\n'quoted key' . \"an\\\"other\" = '''x\n'''\n",
    "[plugins.\"a.b\".deep]\n  three = 3\n  [plugins.\"a.b\".deep.er]\n    four = 2024-01-01",
    "[[plugins_of_another_kind]]\na = 1\n[[plugins_of_another_kind]]\na = 2\n",
};

TEST(TomlText, AddingAndTakingAwayAgainLeavesEveryByte) {
  for (const std::string_view text : kTexts) {
    const auto added = with_additions(text, kAdditions);
    ASSERT_TRUE(added) << text << added.error().message();
    EXPECT_NE(*added, text);
    const auto statements = scan_toml(*added);
    ASSERT_TRUE(statements) << *added;
    for (const TomlAddition& addition : kAdditions) {
      int headers = 0;
      for (const TomlStatement& statement : *statements)
        headers +=
            statement.kind == TomlStatement::Kind::kTable && statement.path == addition.table;
      EXPECT_EQ(headers, 1) << *added;
      for (const auto& [key, value] : addition.keys) {
        auto path = addition.table;
        path.push_back(key);
        int found = 0;
        for (const TomlStatement& statement : *statements)
          found += statement.path == path && statement.value == value;
        EXPECT_EQ(found, 1) << key << " in\n" << *added;
      }
    }
    const auto taken = without_additions(*added);
    ASSERT_TRUE(taken);
    EXPECT_EQ(*taken, text);
  }
}

TEST(TomlText, WhatIsSetAlreadyIsNamedWithItsLine) {
  const std::pair<const char*, const char*> kCases[] = {
      {"# x\n[engine]\nswitch = false\n", "line 3: engine.switch is set already"},
      {"engine.switch = 1\n", "line 1: engine.switch"},
      {"\nengine = {}\n", "line 2: engine is written as one value"},
      {"[engine]\nruntimes.x = []\n", "is a table written with dots"},
      {"[[engine]]\n", "is an array of tables"},
  };
  for (const auto& [text, words] : kCases) {
    const auto added = with_additions(text, kAdditions);
    ASSERT_FALSE(added) << text;
    EXPECT_EQ(added.error().kind(), ErrorKind::kExists);
    EXPECT_NE(added.error().message().find(words), std::string::npos) << added.error().message();
  }
}

TEST(TomlText, WhatIsNoTomlIsRefusedWithItsLine) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a\n", "line 1"},           {"a = \n", "line 1"},     {"\n[x\n", "line 2"},
      {"a = \"x\n\"\n", "line 1"}, {"a = [1,\n", "bracket"}, {"a = 1]\n", "bracket"},
      {"{\"a\": 1}\n", "a key"},   {"[x] y\n", "line 1"},    {"a = '''\n", "string"},
  };
  for (const auto& [text, words] : kCases) {
    const auto statements = scan_toml(text);
    ASSERT_FALSE(statements) << text;
    EXPECT_EQ(statements.error().kind(), ErrorKind::kInvalid);
    EXPECT_NE(statements.error().message().find(words), std::string::npos)
        << text << ": " << statements.error().message();
  }
}

TEST(TomlText, ABlockWithoutItsEndIsNotGuessedAt) {
  auto added = with_additions("[x]\n", kAdditions);
  ASSERT_TRUE(added);
  added->erase(added->rfind("# bulkhead: end"));
  EXPECT_FALSE(without_additions(*added));
}

TEST(TomlText, EveryTextEndsSomewhere) {
  // Each beginning of a text is read to its end or refused; nothing is read behind it.
  for (const std::string_view text : kTexts) {
    for (std::size_t size = 0; size < text.size(); ++size) {
      const std::string part(text.substr(0, size));
      const auto added = with_additions(part, kAdditions);
      if (!added) continue;
      EXPECT_EQ(without_additions(*added).value_or("?"), part);
    }
  }
}

}  // namespace
}  // namespace bulkhead::engine
