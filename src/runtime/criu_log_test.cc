#include "runtime/criu_log.h"

#include <gtest/gtest.h>

namespace bulkhead::runtime {
namespace {

TEST(CriuLog, TheLastErrorsAreQuotedWithoutTheirTimes) {
  EXPECT_EQ(last_errors("(00.000100) Version: 3.17\n"
                        "(00.1) Error (a.c:1): first\n(00.2) Error (a.c:2): second\n"
                        "(00.3)     12: Error (b.c:3): third\n(00.4) Error (b.c:4): fourth\n"
                        "(00.5) done\n"),
            "\"Error (a.c:2): second\", \"12: Error (b.c:3): third\", \"Error (b.c:4): fourth\"");
}

TEST(CriuLog, WithoutAnyErrorTheLastLineIsQuoted) {
  EXPECT_EQ(last_errors("(00.1) one\n(00.2) two\n\n"), "\"two\"");
  EXPECT_EQ(last_errors("(no end of a time"), "\"(no end of a time\"");
  EXPECT_EQ(last_errors(""), "");
  EXPECT_EQ(last_errors("\n\n"), "");
}

// Names of the container's files stand in the log.
TEST(CriuLog, WhatWouldSteerATerminalIsEscaped) {
  EXPECT_EQ(last_errors("Error (f.c:1): \x1b[2J\n").find('\x1b'), std::string::npos);
  EXPECT_LT(last_errors("Error (f.c:1): " + std::string(5000, 'x')).size(), 400U);
}

}  // namespace
}  // namespace bulkhead::runtime
