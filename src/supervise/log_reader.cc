#include "supervise/log_reader.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <vector>

#include "supervise/log_file.h"
#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kChunk = 256 * 1024;
constexpr int kMostFiles = 1000;

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

}  // namespace

Result<bool> LogReader::open_current() {
  auto file = open_at(directory_, kLogFile, O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().error == ENOENT) return false;
  if (!file) return std::unexpected(Error(file.error()));
  file_ = *std::move(file);
  partial_.clear();
  return true;
}

// False: enough.
Result<bool> LogReader::take_lines(const Visit& visit) {
  std::string chunk(kChunk, '\0');
  for (;;) {
    const ssize_t count = ::read(file_.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"read", errno}));
    if (count == 0) return true;
    std::string_view rest(chunk.data(), static_cast<std::size_t>(count));
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
  // The files as they are now: a rotation may rename them while they are read. The youngest first.
  std::vector<Fd> files;
  std::array<char, 40> name;
  TRY_ASSIGN(const bool there, open_current());
  if (!there) return {};
  files.push_back(std::move(file_));
  for (int number = 1; number < kMostFiles; ++number) {
    (void)rotated_name(name, number, false);
    auto file = open_at(directory_, name.data(), O_RDONLY | O_NOFOLLOW);
    if (!file) break;
    files.push_back(*std::move(file));
  }
  std::size_t oldest = files.size() - 1;
  if (tail) {
    std::size_t lines = *tail;
    if (lines == 0) {
      (void)::lseek(files[0].get(), 0, SEEK_END);
      file_ = std::move(files[0]);
      return {};
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
      oldest = i;
      TRY_ASSIGN(const off_t begin, find_tail(files[i].get(), lines));
      (void)::lseek(files[i].get(), begin, SEEK_SET);
      if (lines == 0) break;
    }
  }
  for (std::size_t i = oldest + 1; i-- > 0;) {
    file_ = std::move(files[i]);
    TRY_ASSIGN(const bool on, take_lines(visit));
    if (!on) break;
  }
  return {};
}

Result<void> LogReader::read_new(const Visit& visit) {
  if (file_) {
    TRY_ASSIGN(const bool on, take_lines(visit));
    if (!on) return {};
    // Whether it is still the one that is written to.
    struct stat ours{};
    struct stat current{};
    if (::fstat(file_.get(), &ours) == 0 &&
        ::fstatat(directory_, kLogFile, &current, AT_SYMLINK_NOFOLLOW) == 0 &&
        ours.st_ino == current.st_ino)
      return {};
    // Rotated, after its last line was written: what was there between is in the older files.
    const ino_t last = ours.st_ino;
    TRY_ASSIGN(const bool more, take_lines(visit));
    if (!more) return {};
    std::vector<Fd> between;
    std::array<char, 40> name;
    for (int number = 1; number < kMostFiles; ++number) {
      (void)rotated_name(name, number, false);
      auto file = open_at(directory_, name.data(), O_RDONLY | O_NOFOLLOW);
      struct stat status{};
      if (!file || ::fstat(file->get(), &status) != 0 || status.st_ino == last) break;
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
