#include "supervise/protocol.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "supervise/client.h"
#include "supervise/clients.h"
#include "supervise/detach_keys.h"

namespace bulkhead::supervise {
namespace {

const std::string kId(64, 'a');

std::span<const char> span_of(const std::string& text) { return {text.data(), text.size()}; }

TEST(Protocol, AgreesOnTheHighestVersionOfBoth) {
  EXPECT_EQ(choose_version({1, 1}, 1, 1), 1);
  EXPECT_EQ(choose_version({1, 9}, 1, 4), 4);
  EXPECT_EQ(choose_version({2, 3}, 1, 9), 3);
  EXPECT_FALSE(choose_version({2, 3}, 1, 1));
  EXPECT_FALSE(choose_version({1, 1}, 2, 3));
}

TEST(Protocol, ReadsNothingOutOfNonsense) {
  for (const std::string& bytes : {std::string(), std::string("\x01"),
                                   std::string("\x01"
                                               "BHMO"),
                                   std::string("\x01XXXX\1\0\1\0", 9),
                                   std::string("\x01"
                                               "BHMO\2\0\1\0",
                                               9)})
    EXPECT_FALSE(read_hello(span_of(bytes)));
  EXPECT_FALSE(
      read_welcome(span_of("\x02"
                           "BHMO")));
}

// What version 1 of a client and of a monitor have sent, byte for byte: it stays understood.
const std::string kHelloOfVersion1(
    "\x01"
    "BHMO\x01\x00\x01\x00",
    9);
const std::string kAttachOfVersion1("\x0a\x06\x18\x00\x50\x00", 6);
const std::string kStoppingOfVersion1("\x0e", 1);
const std::string kWaitOfVersion1("\x0f", 1);
const std::string kRestartOfVersion1("\x10\x01\x03\x00\x00\x00", 6);
const std::string kWelcomeOfVersion1 = std::string(
                                           "\x02"
                                           "BHMO\x01\x00\x39\x30\x00\x00",
                                           11) +
                                       kId;
const std::string kDoneOfVersion1("\x15\x00", 2);
const std::string kOutputOfVersion1("\x16\x04wrong\n", 8);
const std::string kEndedOfVersion1("\x17\x01\x89\x00\x00\x00\x09\x00\x00\x00", 10);

class Recorder : public Requests {
 public:
  bool is_terminal() const override { return true; }
  bool takes_input() const override { return true; }
  void input(std::span<const char> bytes) override { typed.append(bytes.data(), bytes.size()); }
  void input_ended() override { ended = true; }
  void resize(std::uint16_t r, std::uint16_t c) override { rows = r, columns = c; }
  void stopping() override { stopped = true; }
  void restart_policy(const RestartPolicy& policy) override { restart = policy; }

  std::string typed;
  bool ended = false;
  bool stopped = false;
  int rows = 0;
  int columns = 0;
  RestartPolicy restart;
};

class MonitorSocket : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/bulkhead-monitor-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    path_ = path;
    directory_ = Fd(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(clients_.listen(directory_.get(), kId));
  }
  void TearDown() override { EXPECT_EQ(std::system(("rm -rf " + path_).c_str()), 0); }

  Fd connect() {
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, (path_ + "/" + kId).c_str());
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  void serve() {
    std::array<struct pollfd, Clients::kMost + 1> items;
    const std::size_t count = clients_.prepare(items, true);
    ASSERT_GE(::poll(items.data(), count, 1000), 0);
    clients_.serve(std::span(items).first(count), requests_);
  }
  static void send(const Fd& socket, const std::string& bytes) {
    ASSERT_EQ(::send(socket.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  static std::string received(const Fd& socket) {
    char buffer[kMostPacket];
    const ssize_t size = ::recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return size <= 0 ? std::string() : std::string(buffer, static_cast<std::size_t>(size));
  }
  Fd welcomed() {
    Fd socket = connect();
    serve();
    send(socket, kHelloOfVersion1);
    serve();
    EXPECT_TRUE(read_welcome(span_of(received(socket))));
    return socket;
  }

  std::string path_;
  Fd directory_;
  Clients clients_{kId};
  Recorder requests_;
};

TEST_F(MonitorSocket, UnderstandsAClientOfVersion1) {
  const Fd socket = connect();
  serve();
  send(socket, kHelloOfVersion1);
  serve();
  const auto welcome = read_welcome(span_of(received(socket)));
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->version, 1);
  EXPECT_EQ(welcome->id, kId);
  send(socket, kAttachOfVersion1);
  serve();
  EXPECT_EQ(received(socket), std::string("\x15\x01", 2));
  EXPECT_EQ(requests_.rows, 24);
  EXPECT_EQ(requests_.columns, 80);
  send(socket, kStoppingOfVersion1);
  serve();
  EXPECT_EQ(received(socket), "\x15");
  EXPECT_TRUE(requests_.stopped);
  send(socket, kRestartOfVersion1);
  serve();
  EXPECT_EQ(received(socket), "\x15");
  EXPECT_EQ(requests_.restart, (RestartPolicy{RestartKind::kOnFailure, 3}));
  send(socket, kWaitOfVersion1);
  serve();
  clients_.ended(kEndedForGood, 137, 9);
  EXPECT_EQ(received(socket), kEndedOfVersion1);
}

TEST_F(MonitorSocket, ChoosesItsOwnVersionForANewerClient) {
  const Fd socket = connect();
  serve();
  send(socket, std::string("\x01"
                           "BHMO\x01\x00\x63\x00",
                           9));
  serve();
  EXPECT_EQ(read_welcome(span_of(received(socket)))->version, kHighestVersion);
}

TEST_F(MonitorSocket, RefusesAClientThatKnowsOnlyWhatIsToCome) {
  const Fd socket = connect();
  serve();
  send(socket, std::string("\x01"
                           "BHMO\x62\x00\x63\x00",
                           9));
  serve();
  EXPECT_EQ(received(socket).front(), static_cast<char>(PacketType::kRefused));
  send(socket, kStoppingOfVersion1);
  serve();
  EXPECT_FALSE(requests_.stopped) << "without a welcome";
}

TEST_F(MonitorSocket, RefusesWhatItDoesNotKnowAndGoesOn) {
  const Fd socket = welcomed();
  for (const std::string& bytes : {std::string("\x7f"), std::string("\x10\x09\1\0\0\0", 6),
                                   std::string("\x10", 1), std::string(1, '\0')}) {
    send(socket, bytes);
    serve();
    EXPECT_EQ(received(socket).front(), static_cast<char>(PacketType::kRefused));
  }
  send(socket, kStoppingOfVersion1);
  serve();
  EXPECT_TRUE(requests_.stopped);
}

TEST_F(MonitorSocket, TakesInputFromWhoHasAttachedWithItAlone) {
  const Fd socket = welcomed();
  send(socket, "\x0bno");
  serve();
  EXPECT_EQ(requests_.typed, "");
  send(socket, std::string("\x0a\x07\0\0\0\0", 6));
  serve();
  send(socket, "\x0byes");
  serve();
  EXPECT_EQ(requests_.typed, "yes");
  EXPECT_EQ(requests_.rows, 0);
}

TEST_F(MonitorSocket, WaitsForASlowClientAndThenLetsItGo) {
  Fd socket = welcomed();
  send(socket, std::string("\x0a\x02\0\0\0\0", 6));
  serve();
  const std::string chunk(kMostBytes, 'x');
  std::size_t sent = 0;
  while (clients_.output(kStreamOutput, span_of(chunk), 0)) ASSERT_LT(++sent, 1000U);
  EXPECT_FALSE(clients_.deliver(9'999));
  EXPECT_TRUE(clients_.any_attached());
  (void)received(socket);
  for (std::size_t i = 0; i < sent + 1; ++i) (void)received(socket);
  EXPECT_TRUE(clients_.deliver(9'999)) << "it has taken what there was";
  while (clients_.output(kStreamOutput, span_of(chunk), 20'000)) continue;
  EXPECT_TRUE(clients_.deliver(30'000));
  EXPECT_FALSE(clients_.any_attached()) << "it is let go after ten seconds";
}

TEST_F(MonitorSocket, SurvivesMoreClientsThanItHasRoomFor) {
  std::vector<Fd> sockets;
  for (std::size_t i = 0; i < Clients::kMost + 20; ++i) {
    sockets.push_back(connect());
    serve();
  }
  sockets.clear();
  for (int i = 0; i < 3; ++i) serve();
  welcomed();
}

// The other way round: a monitor of version 1, as it was recorded, and the client of today.
TEST(MonitorClient, UnderstandsAMonitorOfVersion1) {
  char path[] = "/tmp/bulkhead-monitor-XXXXXX";
  ASSERT_NE(::mkdtemp(path), nullptr);
  const std::string directory = path;
  const Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (directory + "/" + kId).c_str());
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  std::thread monitor([&] {
    const Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char buffer[kMostPacket];
    for (const std::string* answer :
         {&kWelcomeOfVersion1, &kDoneOfVersion1, &kOutputOfVersion1, &kEndedOfVersion1}) {
      if (answer != &kOutputOfVersion1 && answer != &kEndedOfVersion1)
        (void)::recv(socket.get(), buffer, sizeof buffer, 0);
      (void)::send(socket.get(), answer->data(), answer->size(), MSG_NOSIGNAL);
    }
  });
  auto client = MonitorClient::connect(directory, kId);
  ASSERT_TRUE(client && *client) << client.error().message();
  EXPECT_EQ((*client)->version(), 1);
  EXPECT_EQ((*client)->monitor_pid(), 12345);
  const auto attached = (*client)->attach(kStreamOutput | kStreamError, 0, 0);
  ASSERT_TRUE(attached);
  EXPECT_FALSE(*attached);
  std::array<char, kMostPacket> buffer;
  const auto output = (*client)->next(buffer);
  ASSERT_TRUE(output && *output);
  EXPECT_EQ((*output)->stream, kStreamError);
  EXPECT_EQ(std::string((*output)->bytes.begin(), (*output)->bytes.end()), "wrong\n");
  const auto end = (*client)->next(buffer);
  ASSERT_TRUE(end && *end && (*end)->end);
  EXPECT_TRUE((*end)->end->for_good);
  EXPECT_EQ((*end)->end->code, 137);
  EXPECT_EQ((*end)->end->signal, 9);
  const auto gone = (*client)->next(buffer);
  ASSERT_TRUE(gone);
  EXPECT_FALSE(*gone);
  monitor.join();
  EXPECT_EQ(std::system(("rm -rf " + directory).c_str()), 0);
}

TEST(MonitorClient, FindsNobodyWhereNobodyListens) {
  const auto client = MonitorClient::connect("/no/such/directory", kId);
  ASSERT_TRUE(client);
  EXPECT_FALSE(*client);
}

TEST(DetachKeys, AreReadStrictly) {
  EXPECT_EQ(*parse_detach_keys("ctrl-p,ctrl-q"), "\x10\x11");
  EXPECT_EQ(*parse_detach_keys("ctrl-@,a,ctrl-_"), std::string("\0a\x1f", 3));
  EXPECT_EQ(*parse_detach_keys(""), "");
  for (const char* text : {"ctrl-", "ctrl-pp", "ab", ",", "ctrl-1", "a,"})
    EXPECT_FALSE(parse_detach_keys(text)) << text;
}

TEST(DetachKeys, AreTakenOutOfWhatIsTyped) {
  DetachKeys keys("\x10\x11");
  std::string through;
  EXPECT_FALSE(keys.filter("abc\x10", through));
  EXPECT_EQ(through, "abc");
  EXPECT_FALSE(keys.filter("x", through));
  EXPECT_EQ(through, "\x10x") << "what was held back goes on";
  EXPECT_FALSE(keys.filter("\x10\x10", through));
  EXPECT_EQ(through, "\x10");
  EXPECT_TRUE(keys.filter("\x11rest", through));
  EXPECT_EQ(through, "");
}

}  // namespace
}  // namespace bulkhead::supervise
