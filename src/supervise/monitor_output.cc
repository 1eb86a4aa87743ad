#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "supervise/detach.h"
#include "supervise/log_compression.h"
#include "supervise/monitor_loop.h"
#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kReadMost = 64 * 1024;

}  // namespace

alignas(4096) char output_room[Stream::kRoom];
alignas(4096) char error_room[Stream::kRoom];
alignas(4096) char input_room[kMostBytes];

void Monitor::input(std::span<const char> bytes) {
  const int target = settings().terminal ? output_.get() : container_.input.get();
  if (target < 0 || bytes.size() > kMostBytes) return;
  std::copy(bytes.begin(), bytes.end(), input_room);
  input_left_ = std::span(input_room, bytes.size());
  write_input();
}

void Monitor::write_input() noexcept {
  const int target = settings().terminal ? output_.get() : container_.input.get();
  while (!input_left_.empty()) {
    const ssize_t count = ::write(target, input_left_.data(), input_left_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    // Nobody reads it any more.
    input_left_ =
        count < 0 ? std::span<const char>() : input_left_.subspan(static_cast<std::size_t>(count));
  }
}

void Monitor::input_ended() {
  if (settings().stdin_once && !settings().terminal) container_.input.reset();
}

void Monitor::resize(std::uint16_t rows, std::uint16_t columns) {
  if (!settings().terminal || output_.get() < 0) return;
  const winsize size{rows, columns, 0, 0};
  (void)::ioctl(output_.get(), TIOCSWINSZ, &size);
}

void Monitor::open_log() noexcept {
  file_log_.reset();
  journal_.reset();
  const LogSettings& log = settings().log;
  if (log.driver == LogDriver::kJsonFile) file_log_.emplace(container_.directory.get(), log);
  if (log.driver == LogDriver::kJournald) journal_.emplace(log.attributes_text());
}

// What is within the limit goes through, and no more.
void Monitor::count_output(Stream& stream) noexcept {
  if (settings().most_output_bytes < 0) return;
  const auto most = static_cast<std::uint64_t>(settings().most_output_bytes);
  const std::size_t read = stream.chunk().size();
  const std::uint64_t left = most - std::min(most, output_bytes_);
  output_bytes_ += read;
  if (read <= left) return;
  stream.cut(static_cast<std::size_t>(left));
  if (ended_.output_limited) return;
  ended_.output_limited = true;
  // As with the time limit: it is not started again.
  stopping_ = true;
  (void)container_.init.send_signal(SIGKILL);
}

// In a child that has nothing of ours but the two files: the lock on the container, which comes with the
// descriptor of its directory, must not outlive us.
void Monitor::begin_compression() noexcept {
  if (compression_pid_ > 0) return;
  const Fd file = file_log_->open_uncompressed();
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return;
  const auto directory = open_at(container_.directory.get(), ".", O_RDONLY | O_DIRECTORY);
  if (!directory) return;
  compressed_ = status.st_ino;
  compression_pid_ = fork_off([&] {
    const std::array kept{file.get(), directory->get()};
    if (!close_all_but(kept)) return 1;
    return compress_log(directory->get(), file.get()) ? 0 : 1;
  });
}

void Monitor::compression_gone(int status) noexcept {
  compression_pid_ = 0;
  if (!file_log_ || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return;
  file_log_->take_compressed(compressed_);
  begin_compression();
}

void Monitor::end_compression() noexcept {
  if (compression_pid_ <= 0) return;
  (void)::kill(compression_pid_, SIGKILL);
  (void)::waitpid(compression_pid_, nullptr, 0);
  compression_pid_ = 0;
  (void)::unlinkat(container_.directory.get(), kCompressedLog, 0);
}

void Monitor::pump(Stream& stream) noexcept {
  const bool attached = clients_.any_attached();
  const Stream::Read result = stream.read(attached ? kMostBytes : kReadMost);
  if (result == Stream::Read::kNothing) return;
  count_output(stream);
  const timespec now = time_of_day();
  if (result == Stream::Read::kEnd) {
    stream.finish(log(), now);
    stream.close();
  } else {
    if (attached) owed_ = !clients_.output(stream.bit(), stream.chunk(), milliseconds_now());
    // The bytes are what the clients still have to get: they are taken to the log afterwards.
    if (!owed_) stream.take_to(log(), now);
  }
  unflushed_ = true;
  if (result != Stream::Read::kAll) flush();
}

void Monitor::flush() noexcept {
  if (Log* const to = log()) to->flush();
  unflushed_ = false;
  if (file_log_ && file_log_->take_rotated()) begin_compression();
}

void Monitor::drain() noexcept {
  while (owed_) {
    struct pollfd nothing{-1, 0, 0};
    (void)::poll(&nothing, 1, 10);
    owed_ = !clients_.deliver(milliseconds_now());
  }
  for (Stream* stream : {&output_, &error_}) {
    if (stream->get() < 0) continue;
    stream->take_to(log(), time_of_day());
    for (;;) {
      const bool attached = clients_.any_attached();
      const Stream::Read result = stream->read(attached ? kMostBytes : kReadMost);
      if (result == Stream::Read::kNothing || result == Stream::Read::kEnd) break;
      count_output(*stream);
      if (attached && !clients_.output(stream->bit(), stream->chunk(), milliseconds_now()))
        while (!clients_.deliver(milliseconds_now())) (void)::poll(nullptr, 0, 10);
      stream->take_to(log(), time_of_day());
    }
    stream->finish(log(), time_of_day());
  }
  flush();
}

}  // namespace bulkhead::supervise
