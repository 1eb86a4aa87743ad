#include "runtime/output_pump.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace bulkhead::runtime {

Result<OutputPump> OutputPump::divert(std::uint64_t most) {
  OutputPump pump(most);
  for (std::size_t i = 0; i < pump.streams_.size(); ++i) {
    Stream& stream = pump.streams_[i];
    const int number = static_cast<int>(i) + STDOUT_FILENO;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
    stream.from = Fd(ends[0]);
    stream.write_end = Fd(ends[1]);
    // Only our end: the container's stays one that blocks.
    if (::fcntl(stream.from.get(), F_SETFL, O_NONBLOCK) != 0)
      return std::unexpected(Error(SysError{"fcntl(F_SETFL)", errno}));
    stream.to = Fd(::fcntl(number, F_DUPFD_CLOEXEC, 3));
    if (!stream.to) return std::unexpected(Error(SysError{"fcntl(F_DUPFD_CLOEXEC)", errno}));
  }
  for (std::size_t i = 0; i < pump.streams_.size(); ++i)
    if (::dup2(pump.streams_[i].write_end.get(), static_cast<int>(i) + STDOUT_FILENO) < 0)
      return std::unexpected(Error(SysError{"dup2", errno}));
  return pump;
}

Result<void> OutputPump::restore() {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (::dup2(streams_[i].to.get(), static_cast<int>(i) + STDOUT_FILENO) < 0)
      return std::unexpected(Error(SysError{"dup2", errno}));
    streams_[i].write_end.reset();
  }
  // A reader of ours that has gone is an error of write(2): the container is to see it, too.
  ::signal(SIGPIPE, SIG_IGN);
  return {};
}

void OutputPump::prepare(std::array<struct pollfd, kPollItems>& items) const noexcept {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const Stream& stream = streams_[i];
    const bool waiting = stream.begin != stream.end;
    items[i] = {waiting       ? stream.to.get()
                : stream.from ? stream.from.get()
                              : -1,
                static_cast<short>(waiting ? POLLOUT : POLLIN), 0};
  }
}

void OutputPump::serve(const std::array<struct pollfd, kPollItems>& items) noexcept {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (items[i].revents == 0) continue;
    if (streams_[i].begin != streams_[i].end)
      give(streams_[i]);
    else
      fill(streams_[i]);
  }
}

void OutputPump::fill(Stream& stream) noexcept {
  const ssize_t size = ::read(stream.from.get(), stream.bytes.data(), stream.bytes.size());
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    stream.from.reset();
    return;
  }
  const auto allowed = std::min<std::uint64_t>(static_cast<std::uint64_t>(size), left_);
  if (allowed < static_cast<std::uint64_t>(size)) exceeded_ = true;
  left_ -= allowed;
  stream.begin = 0;
  stream.end = static_cast<std::size_t>(allowed);
}

void OutputPump::give(Stream& stream) noexcept {
  const ssize_t size =
      ::write(stream.to.get(), stream.bytes.data() + stream.begin, stream.end - stream.begin);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size < 0) {
    // Nobody reads any more: the writer gets SIGPIPE, as without us.
    stream.from.reset();
    stream.begin = stream.end = 0;
    return;
  }
  stream.begin += static_cast<std::size_t>(size);
}

void OutputPump::drain() noexcept {
  for (Stream& stream : streams_) {
    while (stream.from || stream.begin != stream.end) {
      if (stream.begin != stream.end) {
        struct pollfd item = {stream.to.get(), POLLOUT, 0};
        if (::poll(&item, 1, -1) < 0 && errno != EINTR) return;
        give(stream);
        continue;
      }
      const bool before = static_cast<bool>(stream.from);
      fill(stream);
      if (before && stream.begin == stream.end) break;  // empty, or over the limit
    }
  }
}

}  // namespace bulkhead::runtime
