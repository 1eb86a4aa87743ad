// What the other end of a start may send: any messages, any descriptors beside them, any content of the
// page that it hands over. It stands for a container's process that has been taken over before its
// program runs. `start` neither crashes nor waits nor keeps a descriptor, and what it says is fit for a
// terminal.
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/text.h"
#include "launch/launch.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::launch;

class Input {
 public:
  Input(const unsigned char* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  unsigned byte() { return static_cast<unsigned char>(take(1).empty() ? 0 : last_[0]); }
  std::string_view take(std::size_t size) {
    last_ = rest_.substr(0, size);
    rest_.remove_prefix(last_.size());
    return last_;
  }

 private:
  std::string_view rest_;
  std::string_view last_;
};

bool fit_for_a_terminal(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0 || (length == 1 && (text[0] < 0x20 || text[0] == 0x7F))) return false;
    text.remove_prefix(length);
  }
  return true;
}

// Never more than the socket holds: what does not fit is not said.
void say(int socket, std::string_view bytes, const std::vector<int>& descriptors) {
  struct iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 253)] = {};
  struct msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const std::size_t size = descriptors.size() * sizeof(int);
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  }
  (void)::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

Fd make_page(Input& input) {
  Fd page(::memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!page) std::abort();
  const unsigned shape = input.byte();
  const std::size_t content = input.byte() * 8;
  const std::string_view bytes = input.take(content);
  if (!bytes.empty() && ::write(page.get(), bytes.data(), bytes.size()) < 0) std::abort();
  if ((shape & 1) == 0 && ::ftruncate(page.get(), 4096) != 0) std::abort();
  if ((shape & 2) == 0 && ::fcntl(page.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) std::abort();
  return page;
}

struct Sink final : DescriptorSink {
  Result<void> descriptor(std::string_view purpose, Fd fd) override {
    if (purpose.size() >= sizeof(Message::purpose) || !fd) std::abort();
    return {};
  }
};

int next_descriptor() {
  const Fd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return one.get();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const int before = next_descriptor();
  {
    auto ends = Channel::make_pair();
    if (!ends) std::abort();
    const auto& [ours, theirs] = *ends;
    Input input(data, size);
    while (!input.empty()) {
      const unsigned kind = input.byte();
      Message message{};
      message.type = static_cast<MessageType>(kind % 12);
      const std::string_view purpose = input.take(kind / 12 % 4 * 5 + 1);
      std::memcpy(message.purpose, purpose.data(), purpose.size());
      std::string bytes(reinterpret_cast<const char*>(&message), sizeof message);
      std::vector<Fd> pages;
      unsigned count = kind / 48 % 4;  // 1 in most messages that want one
      if (count == 3) count = input.byte();
      if (count != 0) pages.push_back(make_page(input));
      const std::vector<int> descriptors(std::min(count, 253U), count == 0 ? -1 : pages[0].get());
      if (kind >= 192) bytes.resize(input.byte());
      if (!bytes.empty()) say(theirs.get(), bytes, descriptors);
    }
    if (::shutdown(theirs.get(), SHUT_WR) != 0) std::abort();
    Sink sink;
    const auto done = release(ours, "program", sink);
    if (!done && (done.error().message().empty() || !fit_for_a_terminal(done.error().message()) ||
                  !fit_for_a_terminal(done.error().hint())))
      std::abort();
  }
  if (next_descriptor() != before) std::abort();
  return 0;
}
