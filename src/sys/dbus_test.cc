#include "sys/dbus.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "sys/tree.h"

namespace bulkhead {
namespace {

TEST(DbusMessage, ComesBackAsItWasSent) {
  DbusBody body;
  body.string("text").uint32(7);
  const std::string bytes =
      encode_call({"org.example", "/a/b", "org.example.I", "Member", "su"}, 5, body);
  EXPECT_EQ(bytes.size() % 4, 0U);
  ASSERT_EQ(dbus_message_size(bytes), bytes.size());
  const auto message = decode_message(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, DbusMessageType::kCall);
  EXPECT_EQ(message->member, "Member");
  EXPECT_EQ(message->signature, "su");
  DbusReader reader(message->body);
  EXPECT_EQ(reader.string(), "text");
  EXPECT_EQ(reader.uint32(), 7U);
  EXPECT_FALSE(reader.uint32());
}

// By hand, after the specification's rules of alignment.
TEST(DbusBody, AlignsWhatItHolds) {
  using namespace std::string_view_literals;
  const std::vector<DbusProperty> properties = {{"B", {true}}, {"T", {std::uint64_t{1}}}};
  EXPECT_EQ(DbusBody().properties(properties).bytes(),
            "\x28\0\0\0\0\0\0\0"  // the array's size, without the padding to 8
            "\x01\0\0\0B\0\x01"
            "b\0\0\0\0"   // "B", signature, padding
            "\x01\0\0\0"  // true
            "\x01\0\0\0T\0\x01"
            "t\0\0\0\0\0\0\0\0"
            "\x01\0\0\0\0\0\0\0"sv);
}

TEST(DbusMessage, IsRefusedCutOrMalformed) {
  const std::string whole =
      encode_call({"org.example", "/a", "org.example.I", "M", "s"}, 1, DbusBody().string("x"));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(decode_message(whole.substr(0, size))) << size;
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const char value : {'\0', '\x7F', '\xFF'}) {
      std::string changed = whole;
      changed[at] = value;
      (void)decode_message(changed);  // may be accepted, but reads nothing beyond its end
    }
  std::string huge = whole;
  huge.replace(4, 4, "\xFF\xFF\xFF\x7F");
  EXPECT_FALSE(dbus_message_size(huge));
}

// A bus as a peer: it speaks the same protocol, and knows what is wrong with a message.
class RealBus : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/usr/bin/dbus-daemon", X_OK) != 0) GTEST_SKIP() << "dbus-daemon is not installed";
    std::string pattern = "/tmp/bulkhead-dbus-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    const std::string address = "--address=unix:path=" + socket();
    child_ = ::fork();
    if (child_ == 0) {
      ::execl("/usr/bin/dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile",
              address.c_str(), nullptr);
      ::_exit(127);
    }
    struct stat status{};
    for (int i = 0; i < 500 && ::stat(socket().c_str(), &status) != 0; ++i) ::usleep(10'000);
  }
  void TearDown() override {
    if (child_ <= 0) return;
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
    (void)remove_tree_at(AT_FDCWD, directory_.c_str());
  }
  std::string socket() const { return directory_ + "/bus"; }
  static DbusCall call(const char* member, const char* signature = "") {
    return {"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member,
            signature};
  }

  std::string directory_;
  pid_t child_ = 0;
};

TEST_F(RealBus, AnswersAndSignals) {
  auto peer = DbusPeer::connect(socket());
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_EQ(peer->peer_pid(), child_);
  const auto hello = peer->call(call("Hello"), {});
  ASSERT_TRUE(hello) << hello.error().message();
  const std::string name(DbusReader(hello->body).string().value_or(""));
  EXPECT_TRUE(name.starts_with(":"));
  const auto signal = peer->wait_for_signal("NameAcquired");
  ASSERT_TRUE(signal);
  EXPECT_EQ(DbusReader(signal->body).string(), name);
  const auto owner =
      peer->call(call("GetNameOwner", "s"), DbusBody().string("org.freedesktop.DBus"));
  ASSERT_TRUE(owner);
  EXPECT_EQ(DbusReader(owner->body).string(), "org.freedesktop.DBus");
}

TEST_F(RealBus, TellsItsErrorsByName) {
  auto peer = DbusPeer::connect(socket());
  ASSERT_TRUE(peer);
  ASSERT_TRUE(peer->call(call("Hello"), {}));
  DbusFailure failure;
  const auto owner = peer->call(call("GetNameOwner", "s"), DbusBody().string("org.none"), &failure);
  ASSERT_FALSE(owner);
  EXPECT_EQ(failure.name, "org.freedesktop.DBus.Error.NameHasNoOwner");
}

TEST(DbusPeer, SaysThatNobodyListens) {
  const auto peer = DbusPeer::connect("/nowhere/socket");
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace bulkhead
