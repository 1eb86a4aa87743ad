#include "isolation/root_switch/old_mounts.h"

#include <sys/mount.h>

#include <climits>
#include <cstring>

#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

// Lines of a file in a fixed buffer.
class LineReader {
 public:
  explicit LineReader(int fd) noexcept : fd_(fd) {}
  // The next line without its end, or null at the end of the file; a longer line is E2BIG.
  SysResult<const char*> next() noexcept {
    for (;;) {
      if (char* end = static_cast<char*>(std::memchr(buffer_ + at_, '\n', have_ - at_))) {
        *end = '\0';
        const char* line = buffer_ + at_;
        at_ = static_cast<std::size_t>(end - buffer_) + 1;
        return line;
      }
      std::memmove(buffer_, buffer_ + at_, have_ - at_);
      have_ -= at_;
      at_ = 0;
      if (have_ == sizeof buffer_) return sys_fail_with(E2BIG, "read", "self/mountinfo");
      const ssize_t count = ::read(fd_, buffer_ + have_, sizeof buffer_ - have_);
      if (count < 0) return sys_fail("read", "self/mountinfo");
      if (count == 0) return nullptr;
      have_ += static_cast<std::size_t>(count);
    }
  }

 private:
  int fd_;
  char buffer_[16384];
  std::size_t at_ = 0;
  std::size_t have_ = 0;
};

}  // namespace

bool mount_point_of(const char* line, char* path, unsigned long size) noexcept {
  for (int field = 0; field < 4; ++field) {
    line = std::strchr(line, ' ');
    if (line == nullptr) return false;
    ++line;
  }
  unsigned long length = 0;
  const auto is_octal = [](char digit) { return digit >= '0' && digit <= '7'; };
  while (*line != '\0' && *line != ' ') {
    char character = *line++;
    if (character == '\\' && is_octal(line[0]) && is_octal(line[1]) && is_octal(line[2])) {
      character = static_cast<char>((line[0] - '0') * 64 + (line[1] - '0') * 8 + (line[2] - '0'));
      line += 3;
    }
    if (length + 1 >= size) return false;
    path[length++] = character;
  }
  path[length] = '\0';
  return length > 0;
}

SysResult<void> unmount_old_mounts(int proc) noexcept {
  // Every pass takes whole trees away and changes the list that is being read: until one finds
  // nothing.
  for (int pass = 0; pass < 16; ++pass) {
    const auto file = open_at(proc, "self/mountinfo", O_RDONLY);
    if (!file) return std::unexpected(file.error());
    LineReader lines(file->get());
    bool removed = false;
    for (;;) {
      const auto line = lines.next();
      if (!line) return std::unexpected(line.error());
      if (*line == nullptr) break;
      char path[PATH_MAX];
      if (!mount_point_of(*line, path, sizeof path) || std::strcmp(path, "/") == 0) continue;
      if (::umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) removed = true;
    }
    if (!removed) break;
  }
  return {};
}

}  // namespace bulkhead::isolation
