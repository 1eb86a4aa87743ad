#include "sys/file.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>

namespace bulkhead {

SysResult<Fd> open_at(int directory, const char* path, int flags, mode_t mode) noexcept {
  const int fd = ::openat(directory, path, flags | O_CLOEXEC, mode);
  if (fd < 0) return sys_fail("open", path);
  return Fd(fd);
}

SysResult<Fd> open_at2(int directory, const char* path, int flags, std::uint64_t resolve,
                       mode_t mode) noexcept {
  struct open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  // The kernel gives up with EAGAIN when any rename or mount on the host raced with a "..".
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if (errno != EAGAIN || attempt == 128) return sys_fail("openat2", path);
  }
}

SysResult<void> write_file_at(int directory, const char* path, std::string_view data) noexcept {
  const int fd = ::openat(directory, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return sys_fail("open", path);
  const Fd file(fd);
  const ssize_t written = ::write(fd, data.data(), data.size());
  if (written < 0) return sys_fail("write", path);
  if (static_cast<std::size_t>(written) != data.size()) return sys_fail_with(EIO, "write", path);
  return {};
}

SysResult<mode_t> set_umask(mode_t mask) noexcept {
  const long before = ::syscall(SYS_umask, mask);
  if (before < 0) return sys_fail("umask");
  return static_cast<mode_t>(before);
}

SysResult<void> write_all(int fd, const void* data, std::size_t size) noexcept {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd, at, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return sys_fail("write");
    }
    at += written;
    size -= static_cast<std::size_t>(written);
  }
  return {};
}

SysResult<std::size_t> read_up_to(int fd, void* data, std::size_t size) noexcept {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(fd, static_cast<char*>(data) + done, size - done);
    if (count < 0) {
      if (errno == EINTR) continue;
      return sys_fail("read");
    }
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

SysResult<std::string_view> read_small_file_at(int directory, const char* path,
                                               std::span<char> buffer) noexcept {
  const int fd = ::openat(directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return sys_fail("open", path);
  const Fd file(fd);
  const auto size = read_up_to(fd, buffer.data(), buffer.size());
  if (!size) return sys_fail_with(size.error().error, "read", path);
  if (*size == buffer.size()) return sys_fail_with(E2BIG, "read", path);
  return std::string_view(buffer.data(), *size);
}

Result<std::string> read_fd(int fd, std::size_t limit) {
  std::string text;
  struct stat status{};
  // procfs reports a size of 0; a page is then a fair first guess.
  const bool sized = ::fstat(fd, &status) == 0 && status.st_size > 0;
  // A huge file, sparse perhaps, costs no more than the limit.
  std::size_t room = sized ? std::min(static_cast<std::size_t>(status.st_size), limit) + 1 : 4096;
  for (;;) {
    const std::size_t have = text.size();
    if (have > limit) return std::unexpected(Error(SysError{"read", EFBIG}));
    text.resize(have + room);
    TRY_ASSIGN(const std::size_t count, read_up_to(fd, text.data() + have, room));
    text.resize(have + count);
    if (count < room) break;
    room = text.size();
  }
  if (text.size() > limit) return std::unexpected(Error(SysError{"read", EFBIG}));
  return text;
}

Result<std::string> read_file_at(int directory, const char* path, std::size_t limit) {
  TRY_ASSIGN(const Fd file, open_at(directory, path, O_RDONLY));
  auto text = read_fd(file.get(), limit);
  if (!text) return std::unexpected(std::move(text).error().within(path));
  return text;
}

}  // namespace bulkhead
