#include "runtime/unsupported.h"

#include <gtest/gtest.h>

namespace bulkhead::runtime {
namespace {

TEST(Unsupported, WishesAreRefusedByName) {
  oci::Spec spec;
  EXPECT_TRUE(refuse_unsupported(spec));
  spec.unknown_fields = {"/futureField", "/vm"};
  const auto refused = refuse_unsupported(spec);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message().starts_with("/vm"));
}

}  // namespace
}  // namespace bulkhead::runtime
