#include "storage/unpack/limits_file.h"

#include <gtest/gtest.h>

namespace bulkhead::storage {
namespace {

TEST(LimitsFile, ChangesWhatItNames) {
  const auto limits =
      parse_limits("# of this host\nratio = 1_000  # zeros are common here\n\nbytes=5\n", "f");
  ASSERT_TRUE(limits) << limits.error().message();
  EXPECT_EQ(limits->ratio, 1000U);
  EXPECT_EQ(limits->bytes, 5U);
  EXPECT_EQ(limits->entries, ExtractLimits{}.entries);
}

TEST(LimitsFile, RefusesWhatItDoesNotUnderstand) {
  for (const char* text :
       {"ratios = 5", "ratio", "ratio = ", "ratio = x", "ratio = -1", "ratio = 0", "ratio = 1.5",
        "ratio = 99999999999999999999", "[layers]", "acts = 5", "bytes = 18446744073709551615"}) {
    const auto limits = parse_limits("entries = 1\n" + std::string(text), "the file");
    ASSERT_FALSE(limits) << text;
    EXPECT_TRUE(limits.error().message().starts_with("the file, line 2: ")) << text;
  }
}

TEST(LimitsFile, NeedsNotBeThere) {
  const auto limits = read_limits("/nonexistent/layers.toml");
  ASSERT_TRUE(limits);
  EXPECT_EQ(limits->entries, ExtractLimits{}.entries);
  EXPECT_FALSE(read_limits("/dev")) << "but when something is, it is read or refused";
}

}  // namespace
}  // namespace bulkhead::storage
