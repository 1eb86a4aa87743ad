#include "launch/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace bulkhead::launch {
namespace {

TEST(Channel, CarriesMessagesWhole) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  ASSERT_TRUE(ends->first.send({MessageType::kContinue, 7, "purpose"}));
  ASSERT_TRUE(ends->first.send({MessageType::kReady, 8, {}}));
  Received received;
  ASSERT_TRUE(ends->second.receive(received));
  EXPECT_EQ(received.message.type, MessageType::kContinue);
  EXPECT_EQ(received.message.number, 7);
  EXPECT_STREQ(received.message.purpose, "purpose");
  ASSERT_TRUE(ends->second.receive(received));
  EXPECT_EQ(received.message.type, MessageType::kReady);
}

TEST(Channel, HandsDescriptorsOverCloseOnExec) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  const Fd null(::open("/dev/null", O_RDONLY));
  const int number = null.get();
  ASSERT_TRUE(ends->first.send({MessageType::kMounts, 0, {}}, std::span(&number, 1)));
  Received received;
  ASSERT_TRUE(ends->second.receive(received));
  ASSERT_EQ(received.descriptor_count, 1U);
  struct stat ours{};
  struct stat theirs{};
  ASSERT_EQ(::fstat(number, &ours), 0);
  ASSERT_EQ(::fstat(received.descriptors[0].get(), &theirs), 0);
  EXPECT_EQ(ours.st_rdev, theirs.st_rdev);
  EXPECT_EQ(::fcntl(received.descriptors[0].get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(Channel, TellsTheEndOfFile) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  ends->first.close();
  Received received;
  ASSERT_TRUE(ends->second.receive(received));
  EXPECT_TRUE(received.end_of_file);
}

// Closing with an unread message resets the connection; the kernel tells that first.
TEST(Channel, BringsTheLastWordsOfWhoDiedWithOurMessageUnread) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  ASSERT_TRUE(ends->first.send({MessageType::kCgroups, 0, {}}));
  ASSERT_TRUE(ends->second.send({MessageType::kReady, 7, {}}));
  ends->second.close();
  Received received;
  ASSERT_TRUE(ends->first.receive(received));
  ASSERT_FALSE(received.end_of_file);
  EXPECT_EQ(received.message.type, MessageType::kReady);
  EXPECT_EQ(received.message.number, 7);
  ASSERT_TRUE(ends->first.receive(received));
  EXPECT_TRUE(received.end_of_file);
}

TEST(Channel, RefusesWhatIsNoMessage) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  ASSERT_EQ(::send(ends->first.get(), "xyz", 3, 0), 3);
  Received received;
  const auto result = ends->second.receive(received);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error, EBADMSG);
}

}  // namespace
}  // namespace bulkhead::launch
