#include "runtime/terminal_pump.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace bulkhead::runtime {

std::optional<oci::ConsoleSize> own_terminal_size() noexcept {
  for (const int terminal : {STDIN_FILENO, STDOUT_FILENO}) {
    struct winsize size{};
    if (::ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_row != 0)
      return oci::ConsoleSize{size.ws_row, size.ws_col};
  }
  return std::nullopt;
}

TerminalPump::TerminalPump(Fd master, int input, int output, std::uint64_t most)
    : master_(std::move(master)), input_(input), output_(output), most_(most) {
  // Only the master: our own standard streams are shared with whoever started us.
  const int flags = ::fcntl(master_.get(), F_GETFL);
  if (flags >= 0) (void)::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK);
  copy_size();
}

void TerminalPump::copy_size() const noexcept {
  // The input may be closed to the container, or a pipe: what the output goes to has a size, too.
  for (const int terminal : {input_, output_}) {
    struct winsize size{};
    if (::ioctl(terminal, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) continue;
    (void)::ioctl(master_.get(), TIOCSWINSZ, &size);
    return;
  }
}

bool TerminalPump::Buffer::fill_from(int fd) noexcept {
  errno = 0;  // at end of file, too
  const ssize_t count = ::read(fd, bytes.data(), bytes.size());
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  begin = 0;
  end = static_cast<std::size_t>(count);
  return count > 0;
}

bool TerminalPump::Buffer::write_to(int fd) noexcept {
  const ssize_t count = ::write(fd, bytes.data() + begin, end - begin);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  begin += static_cast<std::size_t>(count);
  return true;
}

void TerminalPump::prepare(std::array<struct pollfd, kPollItems>& items) const noexcept {
  items = {{{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}}};
  if (!open()) return;
  short master_events = 0;
  if (from_container_.empty()) master_events |= POLLIN;
  if (!to_container_.empty()) master_events |= POLLOUT;
  // poll reports a hang-up even for no events at all: with the output full, that would spin.
  if (master_events != 0) items[0] = {master_.get(), master_events, 0};
  if (input_open_ && to_container_.empty()) items[1] = {input_, POLLIN, 0};
  if (!from_container_.empty()) items[2] = {output_, POLLOUT, 0};
}

void TerminalPump::serve(const std::array<struct pollfd, kPollItems>& items) noexcept {
  if (items[1].revents != 0 && !to_container_.fill_from(input_)) {
    input_open_ = false;
    // What a terminal's user types to end the input; ours may be a pipe that ended.
    to_container_.bytes[0] = 4;
    to_container_.begin = 0;
    to_container_.end = 1;
  }
  if (items[2].revents != 0) give_output();
  if ((items[0].revents & POLLOUT) != 0 && !to_container_.write_to(master_.get()))
    to_container_.begin = to_container_.end;
  if ((items[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && from_container_.empty())
    take_from_container();
}

void TerminalPump::take_from_container() noexcept {
  if (from_container_.fill_from(master_.get())) {
    // It was empty before.
    taken_ += from_container_.end - from_container_.begin;
    if (taken_ > most_) {
      const auto beyond =
          std::min<std::uint64_t>(taken_ - most_, from_container_.end - from_container_.begin);
      from_container_.end -= static_cast<std::size_t>(beyond);
    }
    return;
  }
  // EIO: the last slave side is closed.
  if (errno != EIO && errno != 0 && !loss_) loss_ = SysError{"reading the terminal", errno};
  master_.reset();
}

void TerminalPump::give_output() noexcept {
  if (from_container_.write_to(output_)) return;
  if (errno != EPIPE && !loss_) loss_ = SysError{"writing the container's output", errno};
  // Nobody takes it any more: what comes is dropped, so that the container does not block.
  from_container_.begin = from_container_.end;
}

void TerminalPump::drain() noexcept {
  for (;;) {
    while (!from_container_.empty()) give_output();
    if (!open()) return;
    take_from_container();
    if (from_container_.empty()) return;
  }
}

}  // namespace bulkhead::runtime
