// Opening, reading and writing files by descriptor. O_CLOEXEC is always added.
// Everything noexcept here neither allocates nor formats, so that the child half of a launch may
// call it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead {

// openat(2). `path` must outlive the error.
SysResult<Fd> open_at(int directory, const char* path, int flags, mode_t mode = 0) noexcept;

// openat2(2) (Linux 5.6) with RESOLVE_* flags; EAGAIN (a rename raced with "..") is retried.
SysResult<Fd> open_at2(int directory, const char* path, int flags, std::uint64_t resolve,
                       mode_t mode = 0) noexcept;

// All of `data` by one write(2), as files of procfs, sysfs and cgroupfs want it: a short write is
// EIO. open + write + close; never creates the file.
SysResult<void> write_file_at(int directory, const char* path, std::string_view data) noexcept;

// umask(2): the mask as it was. An error only where a filter denies the call, which libc hides.
SysResult<mode_t> set_umask(mode_t mask) noexcept;

// write(2) until all is written.
SysResult<void> write_all(int fd, const void* data, std::size_t size) noexcept;
// read(2) until `size` bytes or end of file; the number of bytes read.
SysResult<std::size_t> read_up_to(int fd, void* data, std::size_t size) noexcept;

// The first bytes of a small file, as a view into `buffer`; E2BIG when the file does not fit.
SysResult<std::string_view> read_small_file_at(int directory, const char* path,
                                               std::span<char> buffer) noexcept;

// The whole file, at most `limit` bytes (EFBIG beyond).
Result<std::string> read_file_at(int directory, const char* path, std::size_t limit = 1 << 20);
Result<std::string> read_fd(int fd, std::size_t limit = 1 << 20);

}  // namespace bulkhead
