#include "supervise/stream.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kFlood = 16 * 1024;
constexpr std::size_t kPage = 4096;  // beyond it there is memory to be given back
constexpr int kPipeSize = 1 << 20;

// At most `most` bytes, and no part of a character.
std::size_t piece_of(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text.size();
  std::size_t end = most;
  for (int i = 0; i < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; ++i) --end;
  return (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80 ? most : end;
}

}  // namespace

void Stream::open(Fd source) noexcept {
  source_ = std::move(source);
  held_ = fresh_ = 0;
  widened_ = false;
  const int flags = ::fcntl(source_.get(), F_GETFL);
  if (flags >= 0) (void)::fcntl(source_.get(), F_SETFL, flags | O_NONBLOCK);
}

Stream::Read Stream::read(std::size_t most) noexcept {
  const std::size_t room = std::min(most, kRoom - held_);
  const ssize_t count = ::read(source_.get(), room_ + held_, room);
  fresh_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  if (count < 0) return errno == EAGAIN || errno == EINTR ? Read::kNothing : Read::kEnd;
  if (count == 0) return Read::kEnd;
  if (fresh_ > kPage) flooded_ = true;
  if (fresh_ >= kFlood && !widened_) {
    // Who writes so much is stalled less often by a larger pipe; a terminal has none.
    (void)::fcntl(source_.get(), F_SETPIPE_SZ, kPipeSize);
    widened_ = true;
  }
  return fresh_ == room ? Read::kAll : Read::kSome;
}

void Stream::take_to(Log* log, const timespec& now) noexcept {
  if (log == nullptr) {
    held_ = fresh_ = 0;
    return;
  }
  std::string_view rest(room_, held_ + fresh_);
  std::size_t searched = held_;  // there is no end of a line in what was held back
  for (;;) {
    const void* const end = std::memchr(rest.data() + searched, '\n', rest.size() - searched);
    std::size_t line =
        end == nullptr ? 0
                       : static_cast<std::size_t>(static_cast<const char*>(end) - rest.data()) + 1;
    if (line == 0 && rest.size() < kMostLine) break;
    if (line == 0 || line > kMostLine) line = piece_of(rest, kMostLine);
    log->add(rest.substr(0, line), name_, now);
    rest.remove_prefix(line);
    searched = 0;
  }
  std::memmove(room_, rest.data(), rest.size());
  held_ = rest.size();
  fresh_ = 0;
}

void Stream::finish(Log* log, const timespec& now) noexcept {
  if (log != nullptr && held_ > 0) log->add({room_, held_}, name_, now);
  held_ = fresh_ = 0;
}

void Stream::trim() noexcept {
  if (!flooded_ || held_ > 0) return;
  (void)::madvise(room_, kRoom, MADV_DONTNEED);
  flooded_ = false;
}

}  // namespace bulkhead::supervise
