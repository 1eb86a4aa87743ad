#include "json/pointer.h"

#include <gtest/gtest.h>

namespace bulkhead::json {
namespace {

TEST(Place, IsAJsonPointer) {
  const Place root;
  const Place list(root, "mounts");
  const Place entry(list, std::size_t{3});
  const Place field(entry, "a/b~c");
  EXPECT_EQ(root.pointer(), "");
  EXPECT_EQ(root.text(), "the document");
  EXPECT_EQ(field.pointer(), "/mounts/3/a~1b~0c");
  EXPECT_EQ(Place(root, "").pointer(), "/");
}

TEST(Place, CutsLongKeysAndEscapesControlCharacters) {
  const Place root;
  EXPECT_EQ(Place(root, "\x1b[2J").pointer(), "/\\x1b[2J");
  EXPECT_EQ(Place(root, std::string(1000, 'x')).pointer(), "/" + std::string(128, 'x') + "\u2026");
  EXPECT_EQ(Place(root, std::string(128, 'x')).pointer(), "/" + std::string(128, 'x'));
}

}  // namespace
}  // namespace bulkhead::json
