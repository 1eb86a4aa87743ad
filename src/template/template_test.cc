#include "template/template.h"

#include <gtest/gtest.h>

#include "json/parse.h"
#include "template/evaluate.h"
#include "template/testing.h"

namespace bulkhead::templates {
namespace {

using testing::kCases;
using testing::kDocument;

TEST(Templates, PrintWhatGoPrints) {
  const auto document = json::parse(kDocument);
  ASSERT_TRUE(document);
  for (const auto& [text, expected] : kCases) {
    const auto printed = render(text, document->root());
    ASSERT_TRUE(printed) << text << ": " << printed.error().message();
    EXPECT_EQ(*printed, expected) << text;
  }
}

struct WrongCase {
  std::string_view text;
  std::string_view message;  // a part of it
};

constexpr WrongCase kWrong[] = {
    {"{{.Id", "template, column 1: the action does not end"},
    {"abc {{.Id}", "column 10: unexpected \"}\""},
    {"{{", "column 1: the action does not end"},
    {"{{}}", "column 3: a value is missing here"},
    {"{{if}}x{{end}}", "column 5: a value is missing here"},
    {"{{if .Id}}x", "column 3: {{if}} has no {{end}}"},
    {"{{end}}", "column 3: {{end}} without a beginning"},
    {"{{else}}", "column 3: {{else}} without a beginning"},
    {"{{if 1}}{{else}}{{else}}{{end}}", "column 19: a second {{else}}"},
    {"{{if 1}}{{else x}}{{end}}", "column 16: }} is expected after else"},
    {"{{range .Args}}{{end x}}", "column 22: }} is expected after end"},
    {"{{break}}", "column 3: {{break}} outside of {{range}}"},
    {"{{foo .Id}}", "column 3: there is no function \"foo\""},
    {"{{Id}}", "there is no function \"Id\""},
    {"{{.Absent}}", "column 3: there is no field \"Absent\""},
    {"{{.State.Absent}}", "column 9: there is no field \"Absent\""},
    {"{{.State.Health.Status}}", "column 16: there is nothing that could have a field"},
    {"{{.Id.Length}}", "column 6: a string has no field \"Length\""},
    {"{{$x}}", "column 3: there is no variable \"$x\""},
    {"{{$x = 1}}", "there is no variable \"$x\""},
    {"{{if 1}}{{$x := 1}}{{end}}{{$x}}", "column 29: there is no variable"},
    {"{{$ := 1}}", "$ is the whole value"},
    {"{{$a, $b := .Args}}", "two variables are for {{range}} alone"},
    {"{{range .Id}}{{end}}", "column 9: range goes over a list or a map"},
    {"{{\"abc}}", "column 3: the string does not end"},
    {"{{`abc}}", "column 3: the string does not end"},
    {"{{'ab'}}", "one character is expected"},
    {"{{\"\\z\"}}", "the escape"},
    {"{{/* abc}}", "the comment does not end"},
    {"{{1x}}", "\"1x\" is not a number"},
    {"{{99999999999999999999}}", ""},
    {"{{(.Id}}", "column 3: this ( is not closed"},
    {"{{.Id)}}", "a ) that nothing opens"},
    {"{{.Id | .Name}}", "column 9: a function is expected after |"},
    {"{{.Id |}}", "column 8: a value is missing here"},
    {"{{| len}}", "column 3: a value is missing here"},
    {"{{nil}}", "nil is not something to print"},
    {"{{1 2}}", "column 5: only functions take arguments"},
    {"{{.Id .Name}}", "column 7: .Id is not a function"},
    {"{{print \"a\"\"b\"}}", "column 12: a space, | or }} is expected here"},
    {"{{\"a\".B}}", "column 6: this has no fields"},
    {"{{len}}", "len is given 0 arguments"},
    {"{{len 1 2}}", "len is given 2 arguments"},
    {"{{len 1}}", "len: a whole number has no length"},
    {"{{index .Args 7}}", "index: the index 7 is beyond the 3 elements"},
    {"{{index .Args \"a\"}}", "index: a list is indexed by a number"},
    {"{{index .Id 99}}", "beyond the 16 elements"},
    {"{{eq 1 \"1\"}}", "cannot be compared"},
    {"{{eq .Args .Args}}", "cannot be compared"},
    {"{{lt true false}}", "have no order"},
    {"{{slice .Id 9 3}}", "the first bound is beyond the second"},
    {"{{slice .Id 99}}", "a bound must be a number from 0 to 16"},
    {"{{join .Id \",\"}}", "join: a list is expected"},
    {"{{join .Mixed.b \",\"}}", "in it is a whole number"},
    {"{{upper 1}}", "upper: a string is expected"},
    {"{{pad \"x\" 99999999 1}}", "pad: two numbers of spaces"},
    {"{{truncate .Id -1}}", "truncate: a number of bytes"},
    {"{{define \"x\"}}{{end}}", "{{define}} is not supported"},
    {"{{template \"x\"}}", "{{template}} is not supported"},
    {"{{call .Id}}", "there is no function \"call\""},
    {"{{.Id}}\n  {{.Absent}}", "template, line 2, column 5: there is no field"},
    {"öäü {{.Absent}}", "template, column 7: there is no field"},
};

TEST(Templates, SayWhereTheyAreWrongAndWhatWasExpected) {
  const auto document = json::parse(kDocument);
  ASSERT_TRUE(document);
  for (const auto& [text, message] : kWrong) {
    const auto printed = render(text, document->root());
    if (message.empty()) continue;
    ASSERT_FALSE(printed) << text;
    EXPECT_EQ(printed.error().kind(), ErrorKind::kUsage) << text;
    EXPECT_NE(printed.error().message().find(message), std::string::npos)
        << text << ": " << printed.error().message();
  }
  const auto printed = render("{{.Nam}}", document->root());
  ASSERT_FALSE(printed);
  EXPECT_NE(printed.error().hint().find("the fields are: Description Id Name Labels"),
            std::string::npos)
      << printed.error().hint();
}

TEST(Templates, AreRefusedBeforeTheyAreNeeded) {
  EXPECT_TRUE(check("{{.Anything}}"));
  EXPECT_FALSE(check("{{.Anything"));
  EXPECT_TRUE(check_list("table {{.ID}}\\t{{.Names}}"));
  EXPECT_FALSE(check_list("table {{.ID"));
}

TEST(Templates, DoNotPrintWithoutEnd) {
  std::string list = "[0";
  for (int i = 0; i < 4000; ++i) list += ",0";
  list += "]";
  const auto document = json::parse(list);
  ASSERT_TRUE(document);
  const auto printed =
      render("{{range $}}{{range $}}{{range $}}{{end}}{{end}}{{end}}", document->root());
  ASSERT_FALSE(printed);
  EXPECT_NE(printed.error().message().find("without end"), std::string::npos);
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{{if 1}}";
  EXPECT_FALSE(check(deep));
  EXPECT_FALSE(check("{{" + std::string(100'000, '(')));
  EXPECT_TRUE(render("{{printf \"%999999999d\" 1}}", document->root()));
}

TEST(Templates, CallMethodsOfOneArgument) {
  const auto document =
      json::parse(R"json({"ID":"a","Label()":{"a.role":"proxy"},"In":{"Label()":{"x":"y"}}})json");
  ASSERT_TRUE(document);
  const json::Value& row = document->root();
  EXPECT_EQ(render("{{.Label \"a.role\"}}", row), "proxy");
  EXPECT_EQ(render("[{{.Label \"absent\"}}]", row), "[]");
  EXPECT_EQ(render("{{$x := .In}}{{$x.Label \"x\"}}{{.In.Label \"x\"}}{{(.In).Label \"x\"}}", row),
            "yyy");
  EXPECT_EQ(render("{{json .}}", row), R"({"ID":"a","In":{}})") << "methods are not printed";
  EXPECT_FALSE(render("{{.Label}}", row));
  EXPECT_FALSE(render("{{.Label 1}}", row));
  EXPECT_FALSE(render("{{.ID \"x\"}}", row));
}

class Lists : public ::testing::Test {
 protected:
  std::string listed(std::string_view text) {
    const auto rows = json::parse(R"json([
      {"ID":"0123456789ab","Names":"web","State":"running","Label()":{"a.b":"one"}},
      {"ID":"ba9876543210","Names":"a-long-name-of-a-container","State":"exited","Label()":{}}
    ])json");
    const auto headers = json::parse(R"({"ID":"CONTAINER ID","Names":"NAMES"})");
    const auto printed = render_list(text, rows->root().items(), headers->root());
    return printed ? *printed : "error: " + printed.error().message();
  }
};

TEST_F(Lists, AreOneLineForEachRow) {
  EXPECT_EQ(listed("{{.ID}} {{.Names}}"),
            "0123456789ab web\nba9876543210 a-long-name-of-a-container\n");
  EXPECT_EQ(listed("{{.ID}}\\t{{.State}}"), "0123456789ab\trunning\nba9876543210\texited\n");
  EXPECT_EQ(listed("json").substr(0, 35), R"({"ID":"0123456789ab","Names":"web",)");
}

TEST_F(Lists, KnowTheirFieldsWithoutAnyRow) {
  const auto headers = json::parse(R"json({"ID":"","Names":"","Label()":{}})json");
  const auto fine = [&](std::string_view text) {
    return static_cast<bool>(check_list(text, headers->root()));
  };
  EXPECT_TRUE(fine("table {{.ID}}\\t{{upper .Names}}\\t{{.Label \"x\"}}"));
  EXPECT_TRUE(fine("{{range split .ID \"\"}}{{.X}}{{$.Names}}{{end}}"));
  EXPECT_TRUE(fine("{{with $x := .Names}}{{.Y}}{{end}}json"));
  for (const char* text : {"{{.Id}}", "table {{.Id}}", "{{if eq .ID (len .Name)}}{{end}}",
                           "{{if 1}}{{else}}{{.X}}{{end}}", "{{range .ID}}{{$.X}}{{end}}"})
    EXPECT_FALSE(fine(text)) << text;
  const auto wrong = check_list("table {{.ID}} {{.Id}}", headers->root());
  EXPECT_EQ(wrong.error().message(), "template, column 11: there is no field \"Id\"");
  EXPECT_EQ(wrong.error().hint(), "the fields are: ID Names Label");
}

TEST_F(Lists, HaveHeadersAndColumnsAsTables) {
  EXPECT_EQ(listed("table {{.ID}}\\t{{.State}}\\t{{.Names}}"),
            "CONTAINER ID   STATE     NAMES\n"
            "0123456789ab   running   web\n"
            "ba9876543210   exited    a-long-name-of-a-container\n");
  EXPECT_EQ(listed("table {{upper .Names}}\\t{{truncate .ID 4}}"),
            "NAMES                        CONTAINER ID\n"
            "WEB                          0123\n"
            "A-LONG-NAME-OF-A-CONTAINER   ba98\n");
  EXPECT_EQ(listed("table {{.State}}\\t{{.Label \"a.b\"}}"),
            "STATE     B\n"
            "running   one\n"
            "exited    \n");
  EXPECT_EQ(listed("table {{.State | json}}"), "STATE\n\"running\"\n\"exited\"\n");
}

}  // namespace
}  // namespace bulkhead::templates
