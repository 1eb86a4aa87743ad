#include "engine/attach.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "runtime/supervise.h"
#include "runtime/terminal_pump.h"
#include "supervise/detach_keys.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

using supervise::kMostBytes;
using supervise::kMostPacket;

class Session {
 public:
  Session(supervise::MonitorClient& client, const AttachChoices& choices)
      : client_(client), choices_(choices), keys_(choices.detach_keys), typing_(choices.input) {}

  Result<AttachEnd> run() {
    TRY_ASSIGN(const runtime::SignalRelay signals, runtime::SignalRelay::start());
    const auto raw = choices_.terminal && choices_.input ? runtime::RawTerminal::enter()
                                                         : std::optional<runtime::RawTerminal>();
    if (choices_.terminal) copy_size();
    for (;;) {
      std::array<struct pollfd, 3> items{
          {{client_.get(), static_cast<short>(left_.empty() ? POLLIN : POLLIN | POLLOUT), 0},
           {typing_ && left_.empty() ? STDIN_FILENO : -1, POLLIN, 0},
           {signals.get(), POLLIN, 0}}};
      if (::poll(items.data(), items.size(), -1) < 0) {
        if (errno == EINTR) continue;
        return std::unexpected(Error(SysError{"poll", errno}));
      }
      if (items[2].revents != 0) {
        if (const int signal = handle_signals(signals.get()); signal != 0)
          return AttachEnd{false, 128 + signal};
      }
      if ((items[0].revents & ~POLLOUT) != 0) {
        TRY_ASSIGN(const auto end, receive());
        if (end) return *end;
      }
      if ((items[0].revents & POLLOUT) != 0) send_left();
      if (items[1].revents != 0) {
        TRY_ASSIGN(const bool detached, type());
        if (detached) return AttachEnd{true, 0};
      }
    }
  }

 private:
  void copy_size() {
    if (const auto size = runtime::own_terminal_size())
      (void)client_.resize(static_cast<std::uint16_t>(size->height),
                           static_cast<std::uint16_t>(size->width));
  }

  // The signal that ends us, when it is not the container's.
  int handle_signals(int signals) {
    struct signalfd_siginfo info{};
    while (::read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      const int number = static_cast<int>(info.ssi_signo);
      if (number == SIGWINCH) {
        if (choices_.terminal) copy_size();
      } else if (choices_.proxy_signals && !choices_.terminal) {
        choices_.signal(number);
      } else if (number == SIGHUP || number == SIGINT || number == SIGTERM || number == SIGQUIT) {
        return number;
      }
    }
    return 0;
  }

  Result<std::optional<AttachEnd>> receive() {
    TRY_ASSIGN(const auto event, client_.next(buffer_));
    if (!event)
      return fail(ErrorKind::kState, "the container's monitor has let us go",
                  "it was killed, or we had not taken its output for ten seconds; the container "
                  "may still run");
    if (event->end) return AttachEnd{false, event->end->code};
    if (event->stream == 0 || !choices_.output) return std::nullopt;
    const int to = event->stream == supervise::kStreamError ? STDERR_FILENO : STDOUT_FILENO;
    if (const auto written = write_all(to, event->bytes.data(), event->bytes.size()); !written)
      return std::unexpected(Error(written.error()).within("writing the container's output"));
    return std::nullopt;
  }

  Result<bool> type() {
    std::array<char, kMostBytes / 2> typed;
    const ssize_t count = ::read(STDIN_FILENO, typed.data(), typed.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    if (count <= 0) {
      typing_ = false;
      ending_ = true;
      send_left();
      return false;
    }
    const std::string_view text(typed.data(), static_cast<std::size_t>(count));
    if (!choices_.terminal) {
      left_ = text;
    } else if (keys_.filter(text, left_)) {
      return true;
    }
    send_left();
    return false;
  }

  void send_left() {
    if (!left_.empty()) {
      if (!client_.send_input({left_.data(), left_.size()})) return;
      left_.clear();
    }
    if (std::exchange(ending_, false)) (void)client_.end_input();
  }

  supervise::MonitorClient& client_;
  const AttachChoices& choices_;
  supervise::DetachKeys keys_;
  bool typing_;
  bool ending_ = false;
  std::string left_;  // typed, and not yet taken by the monitor
  std::array<char, kMostPacket> buffer_;
};

}  // namespace

Result<AttachEnd> attach(supervise::MonitorClient& client, const AttachChoices& choices) {
  return Session(client, choices).run();
}

}  // namespace bulkhead::engine
