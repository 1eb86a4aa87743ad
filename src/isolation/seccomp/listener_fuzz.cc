// What an agent of SCMP_ACT_NOTIFY is sent, whatever stands in the configuration and in the container's
// state: one document that a JSON reader takes, with the words as they were, and one descriptor.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/text.h"
#include "isolation/seccomp/listener.h"
#include "json/parse.h"

namespace {

using namespace bulkhead;

// The agent's socket: within the 107 bytes of an address, and beyond them.
struct Agent {
  std::string path;
  Fd socket;
  explicit Agent(std::size_t depth) {
    char place[] = "/dev/shm/bulkhead-listener-fuzz-XXXXXX";
    if (::mkdtemp(place) == nullptr) std::abort();
    std::string directory = place;
    for (std::size_t i = 0; i < depth; ++i) {
      directory += "/" + std::string(100, 'd');
      if (::mkdir(directory.c_str(), 0700) != 0) std::abort();
    }
    path = directory + "/agent";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const Fd at(::open(directory.c_str(), O_PATH | O_CLOEXEC));
    const std::string short_path = "/proc/self/fd/" + std::to_string(at.get()) + "/agent";
    std::memcpy(address.sun_path, short_path.c_str(), short_path.size() + 1);
    socket = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket.get(), 1) != 0)
      std::abort();
  }
};

struct Received {
  std::string text;
  int descriptors = 0;
};

Received receive(int listener) {
  const Fd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) std::abort();
  Received received;
  for (;;) {
    char bytes[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)];
    struct iovec part{bytes, sizeof bytes};
    struct msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t size = ::recvmsg(connection.get(), &header, MSG_CMSG_CLOEXEC);
    if (size < 0) std::abort();
    for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
      int number = -1;
      if (one->cmsg_len != CMSG_LEN(sizeof number) || !received.text.empty()) std::abort();
      std::memcpy(&number, CMSG_DATA(one), sizeof number);
      ::close(number);
      ++received.descriptors;
    }
    if (size == 0) return received;
    received.text.append(bytes, static_cast<std::size_t>(size));
  }
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

void expect_text(const json::Value* value, std::string_view expected) {
  const std::string_view found = value == nullptr ? "" : value->as_string();
  if (is_utf8(expected) && found != expected) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const Agent agents[] = {Agent(0), Agent(3)};
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const Agent& agent = agents[size % 2];
  isolation::Seccomp::Plan plan;
  plan.listener_path = agent.path;
  plan.listener_metadata = next_field(rest, '\0');
  oci::State state;
  state.oci_version = "1.3.0";
  state.id = next_field(rest, '\0');
  state.status = static_cast<oci::Status>(size % 5);
  state.pid = static_cast<std::int32_t>(size);
  state.bundle = next_field(rest, '\0');
  while (!rest.empty()) {
    const std::string_view key = next_field(rest, '\0');
    state.annotations.insert_or_assign(std::string(key), std::string(next_field(rest, '\0')));
  }
  const auto done =
      isolation::hand_over_listener(plan, state, Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  if (!done) std::abort();
  const Received received = receive(agent.socket.get());
  if (received.descriptors != 1) std::abort();
  const auto document = json::parse(received.text);
  // Keys that are no UTF-8 may become the same.
  for (const auto& [key, value] : state.annotations)
    if (!is_utf8(key)) return 0;
  if (!document) std::abort();
  const json::Value* const inner = document->root().find("state");
  if (inner == nullptr) std::abort();
  expect_text(document->root().find("metadata"), plan.listener_metadata);
  expect_text(inner->find("id"), state.id);
  expect_text(inner->find("bundle"), state.bundle);
  const json::Value* const annotations = inner->find("annotations");
  if (state.annotations.empty()) return 0;
  if (annotations == nullptr || annotations->members().size() != state.annotations.size())
    std::abort();
  for (const auto& [key, value] : state.annotations) expect_text(annotations->find(key), value);
  return 0;
}
