#include "sys/tree.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstring>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead {
namespace {

// Directories deeper than this are moved up beside the top's entries and emptied from there.
constexpr int kDeepest = 24;

struct LinuxDirent {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t size;
  std::uint8_t type;
  char name[1];
};

struct Removal {
  int top = -1;        // the directory that too deep ones are moved to
  unsigned moved = 0;  // how many have been, for their names
};

SysResult<void> empty_directory(Removal& removal, int directory, int depth) noexcept;

SysResult<void> remove_entry(Removal& removal, int directory, const char* name,
                             int depth) noexcept {
  if (::unlinkat(directory, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return sys_fail("unlinkat");
  if (::unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (errno != ENOTEMPTY && errno != EEXIST) return sys_fail("unlinkat(AT_REMOVEDIR)");
  if (depth >= kDeepest) {
    char target[48];
    // The name may be taken by an entry of the tree itself: try the next one.
    for (;;) {
      (void)::snprintf(target, sizeof target, ".too-deep-%u", removal.moved++);
      if (::renameat2(directory, name, removal.top, target, RENAME_NOREPLACE) == 0) return {};
      if (errno != EEXIST) return sys_fail("renameat2");
    }
  }
  {
    const Fd inner(::openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner) return sys_fail("open");
    TRY(empty_directory(removal, inner.get(), depth + 1));
  }
  if (::unlinkat(directory, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    return sys_fail("unlinkat(AT_REMOVEDIR)");
  return {};
}

SysResult<void> empty_directory(Removal& removal, int directory, int depth) noexcept {
  alignas(LinuxDirent) char buffer[4096];
  for (;;) {
    const long size = ::syscall(SYS_getdents64, directory, buffer, sizeof buffer);
    if (size < 0) return sys_fail("getdents64");
    if (size == 0) return {};
    for (long at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const LinuxDirent*>(buffer + at);
      at += entry->size;
      if (std::strcmp(entry->name, ".") == 0 || std::strcmp(entry->name, "..") == 0) continue;
      TRY(remove_entry(removal, directory, entry->name, depth));
    }
  }
}

}  // namespace

SysResult<void> remove_tree_at(int directory, const char* name) noexcept {
  if (::unlinkat(directory, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return sys_fail("unlinkat", name);
  const Fd top(::openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) {
    if (errno == ENOENT) return {};
    return sys_fail("open", name);
  }
  Removal removal{top.get()};
  for (;;) {
    const unsigned moved_before = removal.moved;
    if (const auto emptied = empty_directory(removal, top.get(), 0); !emptied)
      return sys_fail_with(emptied.error().error, emptied.error().call, name);
    if (::unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    // Not empty because of what was moved up: begin again. Else somebody keeps filling it.
    if (errno != ENOTEMPTY || removal.moved == moved_before)
      return sys_fail("unlinkat(AT_REMOVEDIR)", name);
    if (::lseek(top.get(), 0, SEEK_SET) != 0) return sys_fail("lseek", name);
  }
}

Result<void> make_directories(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return std::unexpected(Error(SysError{"mkdir", errno, path.c_str()}));
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0)
    return std::unexpected(Error(SysError{"mkdir", ENOENT, path.c_str()}));
  TRY(make_directories(path.substr(0, slash)));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return std::unexpected(Error(SysError{"mkdir", errno, path.c_str()}));
  return {};
}

}  // namespace bulkhead
