#include "cli/bulkhead/template.h"

#include <gtest/gtest.h>

#include "cli/bulkhead/listing.h"
#include "cli/bulkhead/table.h"
#include "json/parse.h"

namespace bulkhead::cli::engine {
namespace {

std::string applied(std::string_view format, std::string_view value) {
  const auto document = json::parse(value);
  const auto made = Template::parse(format);
  if (!document || !made) return "refused";
  const auto text = made->apply(document->root());
  return text ? *text : "refused: " + text.error().hint();
}

TEST(Template, TakesFieldsApart) {
  constexpr std::string_view kValue =
      R"({"A":{"B":"text","L":["x","y"],"M":{"k":"v"},"N":5,"T":true}})";
  EXPECT_EQ(applied("{{.A.B}}|{{ .A.N }}|{{.A.T}}", kValue), "text|5|true");
  EXPECT_EQ(applied("{{json .A.L}} {{json .A.B}}", kValue), R"(["x","y"] "text")");
  EXPECT_EQ(applied("{{.A.L}} {{.A.M}}", kValue), "[x y] map[k:v]");
  EXPECT_EQ(applied("{{index .A.L 1}}{{index .A.M \"k\"}}{{index .A.M \"none\"}}", kValue), "yv");
  EXPECT_EQ(applied("{{join .A.L \", \"}} {{len .A.L}} {{upper .A.B}}", kValue), "x, y 2 TEXT");
  EXPECT_EQ(applied("a\\tb\\n", kValue), "a\tb\n");
  EXPECT_EQ(applied("{{json .}}", "{\"a\":1}"), "{\"a\":1}");
}

TEST(Template, RefusesWhatItDoesNotUnderstand) {
  for (const char* text : {"{{", "{{.A", "{{}}", "{{A}}", "{{range .A}}", "{{if .A}}x{{end}}",
                           "{{.A | json}}", "{{json}}", "{{index .A}}", "{{.A.}}", "{{.A..B}}",
                           "{{.A.B x}}", "{{join .A b}}", "{{.\x1b}}"})
    EXPECT_FALSE(Template::parse(text)) << text;
}

TEST(Template, ListsTheFieldsThatThereAre) {
  EXPECT_EQ(applied("{{.C}}", R"({"A":1,"B":2})"), "refused: there are: A, B");
  EXPECT_EQ(applied("{{.A.B}}", R"({"A":1})"), "refused: what it is asked of has no fields");
  EXPECT_EQ(applied("{{index .A 3}}", R"({"A":[1]})").substr(0, 7), "refused");
}

TEST(Listing, RefusesAFieldThatNoRowHasWithoutAnyRow) {
  const Listing listing({{"ID", "IMAGE ID"}}, {"ID"});
  EXPECT_TRUE(listing.text("{{.ID}}"));
  EXPECT_FALSE(listing.text("{{.Other}}"));
  EXPECT_EQ(*listing.text("table {{.ID}}"), "IMAGE ID\n");
}

TEST(Table, LetsNoImageSteerTheTerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\n\xC2\x9B\xFFü"), "a?[31mb???ü");
  EXPECT_EQ(as_table({{"A", "B"}, {"üü", "x"}}), "A         B\nüü        x\n");
}

}  // namespace
}  // namespace bulkhead::cli::engine
