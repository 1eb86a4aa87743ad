#include "runtime/criu_message.h"

#include <gtest/gtest.h>

namespace bulkhead::runtime {
namespace {

using namespace std::string_literals;

TEST(CriuMessage, ARequestIsWhatProtocolBuffersMakeOfIt) {
  EXPECT_EQ(encode_criu_request(CriuCall::kVersion, nullptr, true), "\x08\x0a\x20\x01"s);
  EXPECT_EQ(encode_criu_go_on(true), "\x08\x06\x18\x01"s);
  // That CRIU must not go on has to be said.
  EXPECT_EQ(encode_criu_go_on(false), "\x08\x06\x18\x00"s);
  EXPECT_EQ(encode_criu_memory_tracking_query(), "\x08\x09\x20\x01\x2a\x02\x08\x01"s);
}

TEST(CriuMessage, OptionsThatAreOffAreLeftOut) {
  CriuOptions options;
  options.images = 7;
  options.log_file = "l";
  EXPECT_EQ(encode_criu_request(CriuCall::kDump, &options, false),
            "\x08\x01\x12\x09\x08\x07\x48\x04\x52\x01l\x60\x01"s);
}

TEST(CriuMessage, EveryOptionHasItsNumber) {
  CriuOptions options;
  options.images = 5;
  options.work = 6;
  options.pid = 300;
  options.log_file = "log";
  options.root = "/r";
  options.parent_images = "../p";
  options.leave_running = options.tcp_established = options.tcp_close = true;
  options.external_unix_sockets = options.shell_job = options.file_locks = true;
  options.track_memory = options.restore_as_sibling = options.hand_over_terminal = true;
  options.cgroup_mode = CriuCgroupMode::kIgnore;
  options.cgroup_roots = {{"memory", "/m"}, {"", "/u"}};
  options.freezer = "/f";
  options.external = {"mnt[/a]:/b"};
  options.inherited = {{"pipe:[1]", 9}};
  options.empty_namespaces = 0x40000000;
  options.lsm_profile = "apparmor:x";
  options.lsm_mount_context = "c";
  const std::string inner =
      "\x08\x05\x10\xac\x02\x18\x01\x20\x01\x28\x01\x38\x01\x40\x01\x48\x04\x52\x03log\x60\x01"
      "\x6a\x02/r\x72\x04../p\x78\x01\x88\x01\x06\xc0\x01\x01"
      "\xca\x01\x0c\x0a\x06memory\x12\x02/m\xca\x01\x04\x12\x02/u\xd0\x01\x01"
      "\xda\x01\x0c\x0a\x08pipe:[1]\x10\x09\x90\x02\x00\xaa\x02\x0amnt[/a]:/b"
      "\xb0\x02\x80\x80\x80\x80\x04\xe2\x02\x02/f\x90\x03\x01\xa0\x03\x01"
      "\xaa\x03\x0a"
      "apparmor:x\xfa\x03\x01"
      "c"s;
  std::string expected = "\x08\x02\x12"s;
  ASSERT_GE(inner.size(), 128U);
  expected.push_back(static_cast<char>((inner.size() & 0x7F) | 0x80));
  expected.push_back(static_cast<char>(inner.size() >> 7));
  EXPECT_EQ(encode_criu_request(CriuCall::kRestore, &options, false), expected + inner);
}

TEST(CriuMessage, AnAnswerIsRead) {
  const auto version = decode_criu_answer("\x08\x0a\x10\x01\x52\x06\x08\x03\x10\x11\x20\x01"s);
  ASSERT_TRUE(version);
  EXPECT_TRUE(version->success);
  EXPECT_EQ(version->version, 31701);
  const auto stage = decode_criu_answer(
      "\x08\x06\x10\x01\x2a\x09\x0a\x05"
      "hello\x10\x07"s);
  ASSERT_TRUE(stage);
  EXPECT_EQ(stage->call, CriuCall::kNotify);
  EXPECT_EQ(stage->script, "hello");
  EXPECT_EQ(stage->pid, 7);
  const auto failure = decode_criu_answer("\x08\x01\x10\x00\x38\x10\x4a\x03why"s);
  ASSERT_TRUE(failure);
  EXPECT_FALSE(failure->success);
  EXPECT_EQ(failure->error, 16);
  EXPECT_EQ(failure->message, "why");
  EXPECT_TRUE(decode_criu_answer("\x08\x09\x10\x01\x42\x02\x08\x01"s)->tracks_memory);
  EXPECT_EQ(decode_criu_answer("\x08\x02\x10\x01\x22\x02\x08\x2a"s)->pid, 42);
}

TEST(CriuMessage, FieldsOfLaterVersionsAreSkipped) {
  const auto answer = decode_criu_answer(
      "\x08\x01\xf9\x07"
      "12345678\xfd\x07"
      "1234\xfa\x07\x03"
      "abc\x10\x01"s);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->success);
}

TEST(CriuMessage, WhatIsNoMessageIsAnError) {
  const std::string whole = "\x08\x06\x10\x01\x2a\x09\x0a\x05hello\x10\x07"s;
  EXPECT_FALSE(decode_criu_answer(""));
  for (const std::string& bytes :
       {"\x08"s, "\x08\x80"s, "\x2a\x7fx"s, "\x0b"s,
        "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s, "\x2a\x02\x0a\x05"s,
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s, "\x09\x01"s})
    EXPECT_FALSE(decode_criu_answer(bytes));
}

}  // namespace
}  // namespace bulkhead::runtime
