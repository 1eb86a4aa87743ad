// A descriptor that the child needs for a moment. Its low numbers are left to the descriptors layer,
// which closes everything at once: closing each by itself would be a sixth of the child's system calls.
// All are close-on-exec in any case.
#pragma once

#include <utility>

#include "sys/fd.h"

namespace bulkhead::isolation {

class ScratchFd {
 public:
  ScratchFd() noexcept = default;
  explicit ScratchFd(Fd fd) noexcept : fd_(std::move(fd)) {}
  ScratchFd(ScratchFd&&) noexcept = default;
  ScratchFd& operator=(ScratchFd&& other) noexcept {
    leave();
    fd_ = std::move(other.fd_);
    return *this;
  }
  ~ScratchFd() { leave(); }

  int get() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  // Beyond, a specification with hundreds of mounts would run into the limit on open files.
  static constexpr int kFirstClosed = 128;
  void leave() noexcept {
    if (fd_.get() < kFirstClosed) (void)fd_.release();
  }
  Fd fd_;
};

}  // namespace bulkhead::isolation
