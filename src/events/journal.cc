#include "events/journal.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "sys/file.h"
#include "sys/lock.h"
#include "sys/tree.h"

namespace bulkhead::events {
namespace {

constexpr const char* kCurrent = "log";
constexpr const char* kPrevious = "log.1";
constexpr int kAppend = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY;
constexpr std::size_t kBlock = 64 * 1024;

bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

// One of those who find it full moves it away.
void rotate(const std::string& directory, int current) {
  const auto place = open_at(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (!place || !try_lock_exclusive(place->get())) return;
  struct stat ours{};
  struct stat there{};
  if (::fstat(current, &ours) != 0 ||
      ::fstatat(place->get(), kCurrent, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
      !is_same_file(ours, there))
    return;
  (void)::renameat(place->get(), kCurrent, place->get(), kPrevious);
}

void append(const std::string& directory, const std::string& line, std::uint64_t most_file) {
  const std::string path = directory + "/" + kCurrent;
  auto file = open_at(AT_FDCWD, path.c_str(), kAppend, 0600);
  if (!file && file.error().error == ENOENT && make_directories(directory))
    file = open_at(AT_FDCWD, path.c_str(), kAppend, 0600);
  if (!file) return;
  const ssize_t written = ::write(file->get(), line.data(), line.size());
  // A full file system took a part of it: the next line must not continue this one.
  if (written > 0 && static_cast<std::size_t>(written) < line.size())
    (void)!::write(file->get(), "\n", 1);
  // Behind what was appended, wherever that was.
  if (const off_t end = ::lseek(file->get(), 0, SEEK_CUR);
      end > 0 && static_cast<std::uint64_t>(end) >= most_file)
    rotate(directory, file->get());
}

}  // namespace

void record(const std::string& directory, Event event, std::uint64_t most_file) noexcept {
  if (event.time.tv_sec == 0) (void)::clock_gettime(CLOCK_REALTIME, &event.time);
  append(directory, encode(event), most_file);
}

Result<int> Journal::watch() {
  TRY(make_directories(directory_));
  notify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notify_) return std::unexpected(Error(SysError{"inotify_init1", errno}));
  if (::inotify_add_watch(notify_.get(), directory_.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) <
      0)
    return std::unexpected(Error(SysError{"inotify_add_watch", errno, directory_.c_str()})
                               .with_hint("a user has fs.inotify.max_user_watches of them"));
  return notify_.get();
}

void Journal::changed() {
  std::array<char, 4096> notes{};
  while (::read(notify_.get(), notes.data(), notes.size()) > 0) continue;
}

// Opens what is there and not yet known. The current one is opened first: should it be moved meanwhile, it
// is met once more under its new name and known by then.
Result<void> Journal::find_files() {
  std::array<File, 2> found;
  for (const bool current : {true, false}) {
    const std::string path = directory_ + "/" + (current ? kCurrent : kPrevious);
    auto fd = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NOCTTY);
    if (!fd && fd.error().error == ENOENT) continue;
    if (!fd) return std::unexpected(Error(fd.error()).within("the journal of events"));
    struct stat status{};
    if (::fstat(fd->get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
    found[current ? 1 : 0] = {std::move(*fd), status.st_ino, {}};
  }
  if (found[0].inode == found[1].inode) found[0] = {};
  for (File& file : found)
    if (file.fd && std::ranges::find(files_, file.inode, &File::inode) == files_.end())
      files_.push_back(std::move(file));
  return {};
}

Result<bool> Journal::read_file(File& file, const Visit& visit) {
  std::string& text = file.rest;
  for (;;) {
    const std::size_t have = text.size();
    text.resize(have + kBlock);
    const auto count = read_up_to(file.fd.get(), text.data() + have, kBlock);
    if (!count) return std::unexpected(Error(count.error()).within("the journal of events"));
    text.resize(have + *count);
    std::size_t at = 0;
    for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      const auto event = decode(std::string_view(text).substr(at, end - at));
      if (event && !visit(*event)) return false;
    }
    text.erase(0, at);
    if (*count < kBlock) return true;
    // Nobody writes such a line.
    if (text.size() > 2 * kMostLine) text.clear();
  }
}

Result<void> Journal::read(const Visit& visit) {
  // Once more at the end: what was written before a file was moved stands before what came after.
  for (std::size_t known = files_.size() + 1; known != files_.size();) {
    known = files_.size();
    for (File& file : files_) {
      TRY_ASSIGN(const bool more, read_file(file, visit));
      if (!more) return {};
    }
    TRY(find_files());
  }
  // A line that is on its way may still land in the one before the current one.
  if (files_.size() > 2) files_.erase(files_.begin(), files_.end() - 2);
  return {};
}

}  // namespace bulkhead::events
