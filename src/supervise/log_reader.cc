#include "supervise/log_reader.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "supervise/log_file.h"
#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kChunk = 256 * 1024;
constexpr int kMostFiles = 1000;
constexpr int kMostTries = 100;

// Where the last `lines` lines of the file begin; how many of them there are is subtracted.
Result<off_t> find_tail(int file, std::size_t& lines) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  off_t end = status.st_size;
  std::string chunk(kChunk, '\0');
  bool first = true;  // the newline at the very end begins no line
  while (end > 0) {
    const off_t begin = end > static_cast<off_t>(kChunk) ? end - static_cast<off_t>(kChunk) : 0;
    const auto size = static_cast<std::size_t>(end - begin);
    const ssize_t count = ::pread(file, chunk.data(), size, begin);
    if (count < 0) return std::unexpected(Error(SysError{"pread", errno}));
    if (count != static_cast<ssize_t>(size)) return 0;  // truncated meanwhile
    for (std::size_t at = size; at-- > 0;) {
      if (chunk[at] != '\n') {
        first = false;
        continue;
      }
      if (std::exchange(first, false)) continue;
      if (--lines == 0) return begin + static_cast<off_t>(at) + 1;
    }
    end = begin;
  }
  // The first line of the file has no newline before it.
  if (!first) --lines;
  return 0;
}

// A compressed file has no end to begin from: it is read twice. How many of its first lines are not of
// the last `lines`, which are subtracted.
Result<std::size_t> lines_before_tail(LogSource& source, std::size_t& lines) {
  std::string chunk(kChunk, '\0');
  std::size_t all = 0;
  for (;;) {
    TRY_ASSIGN(const std::size_t count, source.read(chunk));
    if (count == 0) break;
    all += static_cast<std::size_t>(
        std::count(chunk.begin(), chunk.begin() + static_cast<off_t>(count), '\n'));
  }
  TRY(source.rewind());
  const std::size_t wanted = std::min(all, lines);
  lines -= wanted;
  return all - wanted;
}

}  // namespace

Result<bool> LogReader::open_current() {
  auto file = open_at(directory_, kLogFile, O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().error == ENOENT) return false;
  if (!file) return std::unexpected(Error(file.error()));
  file_.emplace(*std::move(file), false);
  partial_.clear();
  return true;
}

std::optional<LogSource> LogReader::open_rotated(int number) const {
  std::array<char, 40> name;
  // In this order: the other comes to be before this one goes.
  for (const bool compressed : {false, true}) {
    (void)rotated_name(name, number, compressed);
    auto file = open_at(directory_, name.data(), O_RDONLY | O_NOFOLLOW);
    if (file) return LogSource(*std::move(file), compressed);
  }
  return std::nullopt;
}

// The files as they are now, the youngest first: a rotation renames them while they are opened, and then
// they are opened anew.
Result<std::vector<LogSource>> LogReader::open_all() {
  for (int tries = 0;; ++tries) {
    std::vector<LogSource> files;
    TRY_ASSIGN(const bool there, open_current());
    if (!there) return files;
    files.push_back(*std::exchange(file_, std::nullopt));
    for (int number = 1; number < kMostFiles; ++number) {
      auto file = open_rotated(number);
      if (!file) break;
      files.push_back(*std::move(file));
    }
    struct stat current{};
    if (tries == kMostTries ||
        ::fstatat(directory_, kLogFile, &current, AT_SYMLINK_NOFOLLOW) != 0 ||
        current.st_ino == files.front().inode())
      return files;
  }
}

// False: enough.
Result<bool> LogReader::take_lines(const Visit& visit) {
  std::string chunk(kChunk, '\0');
  for (;;) {
    TRY_ASSIGN(const std::size_t count, file_->read(chunk));
    if (count == 0) return true;
    std::string_view rest(chunk.data(), count);
    for (;;) {
      const std::size_t end = rest.find('\n');
      if (end == std::string_view::npos) break;
      partial_.append(rest.substr(0, end));
      rest.remove_prefix(end + 1);
      if (!visit(std::exchange(partial_, {}))) return false;
    }
    partial_.append(rest);
  }
}

Result<void> LogReader::read(std::optional<std::size_t> tail, const Visit& visit) {
  TRY_ASSIGN(std::vector<LogSource> files, open_all());
  if (files.empty()) return {};
  std::size_t oldest = files.size() - 1;
  std::size_t skipped = 0;  // of the oldest
  if (tail) {
    std::size_t lines = *tail;
    if (lines == 0) {
      (void)::lseek(files[0].get(), 0, SEEK_END);
      file_ = std::move(files[0]);
      return {};
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
      oldest = i;
      if (files[i].compressed()) {
        TRY_ASSIGN(skipped, lines_before_tail(files[i], lines));
      } else {
        TRY_ASSIGN(const off_t begin, find_tail(files[i].get(), lines));
        (void)::lseek(files[i].get(), begin, SEEK_SET);
      }
      if (lines == 0) break;
    }
  }
  const Visit each = [&](std::string_view line) {
    if (skipped == 0) return visit(line);
    --skipped;
    return true;
  };
  for (std::size_t i = oldest + 1; i-- > 0;) {
    file_ = std::move(files[i]);
    TRY_ASSIGN(const bool on, take_lines(each));
    if (!on) break;
  }
  return {};
}

Result<void> LogReader::read_new(const Visit& visit) {
  if (file_) {
    TRY_ASSIGN(const bool on, take_lines(visit));
    if (!on) return {};
    // Whether it is still the one that is written to.
    const ino_t last = file_->inode();
    struct stat current{};
    if (::fstatat(directory_, kLogFile, &current, AT_SYMLINK_NOFOLLOW) == 0 &&
        last == current.st_ino)
      return {};
    // Rotated, after its last line was written: what was there between is in the older files.
    TRY_ASSIGN(const bool more, take_lines(visit));
    if (!more) return {};
    std::vector<LogSource> between;
    for (int number = 1; number < kMostFiles; ++number) {
      auto file = open_rotated(number);
      if (!file || file->inode() == last) break;
      between.push_back(*std::move(file));
    }
    for (std::size_t i = between.size(); i-- > 0;) {
      file_ = std::move(between[i]);
      partial_.clear();
      TRY_ASSIGN(const bool on_with, take_lines(visit));
      if (!on_with) return {};
    }
  }
  TRY_ASSIGN(const bool there, open_current());
  if (!there) {
    file_.reset();
    return {};
  }
  TRY(take_lines(visit));
  return {};
}

Result<int> LogReader::watch() {
  notify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notify_) return std::unexpected(Error(SysError{"inotify_init1", errno}));
  const std::string path = "/proc/self/fd/" + std::to_string(directory_);
  if (::inotify_add_watch(notify_.get(), path.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
    return std::unexpected(Error(SysError{"inotify_add_watch", errno}));
  return notify_.get();
}

void LogReader::changed() const noexcept {
  std::array<char, 4096> events;
  while (::read(notify_.get(), events.data(), events.size()) > 0) continue;
}

}  // namespace bulkhead::supervise
