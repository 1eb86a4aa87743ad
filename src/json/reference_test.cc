// The reader against the reference, on texts that are each one small change away from valid ones.
#include <gtest/gtest.h>

#include <string>

#include "json/testing.h"

namespace bulkhead::json {
namespace {

constexpr std::string_view kSeeds[] = {
    R"({"a":[1,-2,3.5e-7,true,false,null],"b":{"c":"d\n\u00e9\ud83d\ude00","":{}},"e":[[],[{}]]})",
    R"([0,-0,10,18446744073709551615,18446744073709551616,-9223372036854775808,-9223372036854775809,1E+2])",
    "[\"\u00e9\u20ac\U0001f600\", \"\\\"\\\\\\/\\b\\f\\r\\t\"]",
    " {\t\"key\" :\r\n [ 1 , 2 ] } ",
};

TEST(Parse, AgreesWithTheReferenceOnEveryTextThatLacksOneByte) {
  for (const std::string_view seed : kSeeds) {
    ASSERT_TRUE(agrees_with_reference(seed)) << seed;
    for (std::size_t i = 0; i < seed.size(); ++i) {
      std::string text(seed);
      text.erase(i, 1);
      EXPECT_TRUE(agrees_with_reference(text)) << text;
      EXPECT_TRUE(agrees_with_reference(seed.substr(0, i))) << seed.substr(0, i);
    }
  }
}

TEST(Parse, AgreesWithTheReferenceOnEveryTextWithOneByteChanged) {
  for (const std::string_view seed : kSeeds) {
    for (std::size_t i = 0; i < seed.size(); ++i) {
      for (int byte = 1; byte < 256; ++byte) {
        std::string text(seed);
        text[i] = static_cast<char>(byte);
        ASSERT_TRUE(agrees_with_reference(text)) << text;
      }
    }
  }
}

}  // namespace
}  // namespace bulkhead::json
