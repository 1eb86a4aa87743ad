#include "cli/bulkhead/listing.h"

#include <gtest/gtest.h>

#include "cli/bulkhead/table.h"

namespace bulkhead::cli::engine {
namespace {

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
