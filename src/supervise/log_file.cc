#include "supervise/log_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kBufferSize = 256 * 1024;
constexpr std::size_t kFlushAt = 64 * 1024;
constexpr std::size_t kFlood = 4096;
static_assert(kFlushAt + kMostEntry + kMostLogAttributes <= kBufferSize);

// One for the process: a monitor has one log. Pages that nobody touches cost nothing.
alignas(4096) char buffer[kBufferSize];

}  // namespace

std::string_view rotated_name(std::array<char, 40>& name, int number, bool compressed) noexcept {
  char* at = std::copy_n(kLogFile, std::strlen(kLogFile), name.data());
  *at++ = '.';
  at = std::to_chars(at, at + 12, number).ptr;
  if (compressed) at = std::copy_n(".gz", 3, at);
  *at = '\0';
  return {name.data(), static_cast<std::size_t>(at - name.data())};
}

LogFile::LogFile(int directory, const LogSettings& settings) noexcept
    : directory_(directory), settings_(settings) {}

bool LogFile::open() noexcept {
  if (file_) return true;
  auto file = open_at(directory_, kLogFile, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
  struct stat status{};
  if (!file || ::fstat(file->get(), &status) != 0) {
    loss_ = file ? errno : file.error().error;
    return false;
  }
  file_ = *std::move(file);
  size_ = status.st_size;
  return true;
}

void LogFile::add(std::string_view line, std::string_view stream, const timespec& now) noexcept {
  if (lost_bytes_ != reported_) report_loss(now);
  used_ += encode_entry(buffer + used_, line, stream, time_.of(now), settings_.attributes_text());
  buffered_ += line.size();
  if (used_ >= kFlushAt || (settings_.most_bytes > 0 &&
                            size_ + static_cast<std::int64_t>(used_) >= settings_.most_bytes))
    flush();
}

void LogFile::flush() noexcept {
  if (used_ == 0) return;
  const std::size_t used = used_;
  const std::uint64_t bytes = std::exchange(buffered_, 0);
  if (!open() || !write_out()) {
    lost_bytes_ += bytes;
    used_ = 0;
  }
  if (used > kFlood) flooded_ = true;
  if (settings_.most_bytes > 0 && size_ >= settings_.most_bytes) rotate();
}

void LogFile::trim() noexcept {
  if (!flooded_ || used_ > 0) return;
  (void)::madvise(buffer, sizeof buffer, MADV_DONTNEED);
  flooded_ = false;
}

bool LogFile::write_out() noexcept {
  std::size_t done = 0;
  while (done < used_) {
    const ssize_t count = ::write(file_.get(), buffer + done, used_ - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      loss_ = count < 0 ? errno : EIO;
      // Half an entry would spoil the next one, too.
      if (::ftruncate(file_.get(), size_) != 0) file_.reset();
      return false;
    }
    done += static_cast<std::size_t>(count);
  }
  size_ += static_cast<std::int64_t>(used_);
  used_ = 0;
  return true;
}

void LogFile::report_loss(const timespec& now) noexcept {
  // Only once there is room again: what cannot be written is not written over and over.
  if (used_ != 0 || !open()) return;
  char text[160];
  const int size =
      std::snprintf(text, sizeof text, "bulkhead: %llu bytes of this log were lost: %s\n",
                    static_cast<unsigned long long>(lost_bytes_ - reported_), errno_text(loss_));
  used_ = encode_entry(buffer, {text, static_cast<std::size_t>(size)}, "stderr", time_.of(now));
  if (write_out())
    reported_ = lost_bytes_;
  else
    used_ = 0;
}

void LogFile::rotate() noexcept {
  std::array<char, 40> from;
  std::array<char, 40> to;
  for (const bool compressed : {false, true}) {
    (void)rotated_name(from, settings_.most_files - 1, compressed);
    (void)::unlinkat(directory_, from.data(), 0);
    for (int number = settings_.most_files - 2; number >= 1; --number) {
      (void)rotated_name(from, number, compressed);
      (void)rotated_name(to, number + 1, compressed);
      (void)::renameat(directory_, from.data(), directory_, to.data());
    }
  }
  if (settings_.most_files > 1) {
    (void)rotated_name(to, 1, false);
    (void)::renameat(directory_, kLogFile, directory_, to.data());
    rotated_ = settings_.compress;
  } else {
    (void)::unlinkat(directory_, kLogFile, 0);
  }
  file_.reset();
  size_ = 0;
}

bool LogFile::take_rotated() noexcept { return std::exchange(rotated_, false); }

Fd LogFile::open_uncompressed() const noexcept {
  std::array<char, 40> name;
  for (int number = settings_.most_files - 1; number >= 1; --number) {
    (void)rotated_name(name, number, false);
    auto file = open_at(directory_, name.data(), O_RDONLY | O_NOFOLLOW);
    if (file) return *std::move(file);
  }
  return {};
}

void LogFile::take_compressed(ino_t original) noexcept {
  std::array<char, 40> plain;
  std::array<char, 40> compressed;
  for (int number = 1; number < settings_.most_files; ++number) {
    (void)rotated_name(plain, number, false);
    struct stat status{};
    if (::fstatat(directory_, plain.data(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        status.st_ino != original)
      continue;
    // In this order: a reader that finds the one gone finds the other.
    (void)rotated_name(compressed, number, true);
    if (::renameat(directory_, kCompressedLog, directory_, compressed.data()) == 0)
      (void)::unlinkat(directory_, plain.data(), 0);
    return;
  }
  (void)::unlinkat(directory_, kCompressedLog, 0);
}

}  // namespace bulkhead::supervise
