#include "cli/bulkhead/ps_rows.h"

#include <gtest/gtest.h>

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ListedContainer;

ListedContainer named(const std::string& name, const std::string& created) {
  ListedContainer container;
  container.id = std::string(64, name.front());
  container.name = name;
  container.created = created;
  container.record.emplace();
  container.record->network = "none";
  container.record->mounts.emplace_back();
  container.record->mounts.back().source = "/srv";
  container.record->mounts.back().destination = "/data";
  container.record->arguments = {"sh", "-c", "exit 3"};
  container.record->labels = {{"role", "proxy"}};
  return container;
}

const std::vector<ListedContainer> kAll = {named("webs", "2026-01-03"), named("web", "2026-01-02"),
                                           named("aweb", "2026-01-01")};

std::string chosen(const std::string& text) {
  const std::string filters[] = {text};
  auto filter = ContainerFilter::read(filters);
  if (!filter || !filter->look_up(kAll)) return "refused";
  std::string names;
  for (const ListedContainer& each : kAll)
    if (filter->matches(each)) names.append(names.empty() ? "" : " ").append(each.name);
  return names;
}

TEST(PsFilter, UnderstandsTheAnchorsOfNames) {
  EXPECT_EQ(chosen("name=web"), "webs web aweb");
  EXPECT_EQ(chosen("name=^web$"), "web");
  EXPECT_EQ(chosen("name=^/web$"), "web");
  EXPECT_EQ(chosen("name=^web"), "webs web");
  EXPECT_EQ(chosen("name=web$"), "web aweb");
  EXPECT_EQ(chosen("name=w.*b"), "refused");
}

TEST(PsFilter, LooksUpThoseThatOthersAreBeforeOrSince) {
  EXPECT_EQ(chosen("before=web"), "aweb");
  EXPECT_EQ(chosen("since=web"), "webs");
  EXPECT_EQ(chosen("since=" + std::string(64, 'a')), "webs web");
  EXPECT_EQ(chosen("since=nobody"), "refused");
}

TEST(PsFilter, KnowsNetworksAndVolumes) {
  EXPECT_EQ(chosen("network=none"), "webs web aweb");
  EXPECT_EQ(chosen("network=host"), "");
  EXPECT_EQ(chosen("volume=/data"), "webs web aweb");
  EXPECT_EQ(chosen("volume=/srv"), "webs web aweb");
  EXPECT_EQ(chosen("volume=/dat"), "");
  EXPECT_EQ(chosen("colour=red"), "refused");
}

TEST(PsRows, QuoteWordsWithSpacesAndTellLabels) {
  const auto text =
      format_rows(kAll, "{{.Command}} {{.Label \"role\"}}.{{.Label \"none\"}}", false);
  ASSERT_TRUE(text) << text.error().message();
  EXPECT_EQ(text->substr(0, text->find('\n')), "\"sh -c 'exit 3'\" proxy.");
  const auto none = format_rows({}, "{{.Label \"role\"}}", false);
  EXPECT_TRUE(none) << none.error().message();
}

}  // namespace
}  // namespace bulkhead::cli::engine
