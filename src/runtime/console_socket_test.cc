#include "runtime/console_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using testing::TemporaryDirectory;

// Listens at `name` in `directory`, however long the whole path is.
Fd listen_at(const std::string& directory, const std::string& name) {
  const Fd place(::open(directory.c_str(), O_PATH | O_CLOEXEC));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(place.get()) + "/" + name;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(socket.get(), 1), 0);
  return socket;
}

TEST(ConsoleSocket, HandsOverTheDescriptorAndItsName) {
  const TemporaryDirectory place;
  const std::string deep = place / std::string(180, 'd');
  ASSERT_EQ(::mkdir(deep.c_str(), 0700), 0);
  for (const std::string& directory : {place.path(), deep}) {
    const Fd listener = listen_at(directory, "console.sock");
    const auto sender = connect_to_receiver(directory + "/console.sock");
    ASSERT_TRUE(sender) << sender.error().message();
    const Fd receiver(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    ASSERT_TRUE(send_descriptor(sender->get(), ends[0], "/dev/pts/7"));

    char name[64] = {};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part{name, sizeof name};
    struct msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ASSERT_EQ(::recvmsg(receiver.get(), &message, MSG_CMSG_CLOEXEC), 10);
    EXPECT_STREQ(name, "/dev/pts/7");
    int received = -1;
    std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
    ASSERT_EQ(::write(ends[1], "x", 1), 1);
    char byte = 0;
    EXPECT_EQ(::read(received, &byte, 1), 1);
    for (const int fd : {ends[0], ends[1], received}) ::close(fd);
  }
}

TEST(ConsoleSocket, NamesThePathThatNobodyListensAt) {
  const TemporaryDirectory place;
  for (const std::string& path : {place / "missing", place / std::string(200, 'm')}) {
    const auto sender = connect_to_receiver(path);
    ASSERT_FALSE(sender);
    EXPECT_NE(sender.error().message().find("console socket"), std::string::npos);
    EXPECT_EQ(sender.error().kind(), ErrorKind::kNotFound);
  }
}

TEST(ConsoleSocket, DoesNotDieOfAReceiverThatIsGone) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  ::close(ends[1]);
  EXPECT_FALSE(send_descriptor(ends[0], 0, "/dev/pts/7"));
  ::close(ends[0]);
}

}  // namespace
}  // namespace bulkhead::runtime
