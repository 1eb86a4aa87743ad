// A directory that stands as the root of a file tree whose content is hostile. Every path is
// resolved beneath it by the kernel (openat2 with RESOLVE_IN_ROOT, Linux 5.6): "..", absolute
// symbolic links and links that are swapped while they are walked all end inside; magic links
// (/proc/self/root, /proc/self/fd/N) are refused with ELOOP.
//
// Where openat2 is missing or filtered away (ENOSYS, EPERM), the components are walked one by one
// without following links, which are then resolved here; links on a procfs are refused altogether.
//
// Nothing here allocates or formats; the child half of a launch uses it.
#pragma once

#include <sys/types.h>

#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead {

struct PathBuffer;

enum class Symlinks {
  kFollowInside,  // as if the directory were "/"
  kRefuse,        // any symbolic link in the path is ELOOP
};

class RootDir {
 public:
  // Does not own the descriptor (O_PATH is enough).
  explicit constexpr RootDir(int fd) noexcept : fd_(fd) {}
  int get() const noexcept { return fd_; }

  // Opens what exists. A leading slash means the same as none. `path` must outlive the error.
  SysResult<Fd> open(const char* path, int flags,
                     Symlinks symlinks = Symlinks::kFollowInside) const noexcept;

  // mkdir -p: the directory as O_PATH. Links are followed inside, dangling ones too: what they lead to is
  // made inside. What is missing is made one by one, and there no link is followed (ELOOP, ENOTDIR).
  SysResult<Fd> make_directories(const char* path, mode_t mode) const noexcept;

  // The file as O_PATH, made empty when missing, with its parents (of mode 0755).
  SysResult<Fd> make_file(const char* path, mode_t mode) const noexcept;

  // The directory that holds the last component, made with its parents when missing (mode 0755),
  // for mknodat, symlinkat and the like on `name`, which points into `path`.
  struct Parent {
    Fd directory;
    const char* name;
  };
  SysResult<Parent> make_parent(const char* path) const noexcept;

 private:
  // The deepest directory that exists, and where in the path the missing rest begins.
  struct Missing {
    Fd directory;
    std::size_t rest;
  };
  SysResult<Missing> find_missing(PathBuffer& path) const noexcept;
  SysResult<Fd> make_chain(Fd directory, PathBuffer& path, std::size_t at, std::size_t end,
                           mode_t mode) const noexcept;
  SysResult<Fd> make_missing_file(PathBuffer& path, mode_t mode) const noexcept;
  SysResult<Fd> open_walking(const char* path, int flags, Symlinks symlinks) const noexcept;
  SysResult<Fd> make_directories_of(const char* path, std::size_t length,
                                    mode_t mode) const noexcept;
  int fd_;
};

}  // namespace bulkhead
