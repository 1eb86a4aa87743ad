// An owned file descriptor: move-only, empty after a move, closed by its destructor.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "sys/error.h"

namespace bulkhead {

class Fd {
 public:
  constexpr Fd() noexcept = default;
  explicit constexpr Fd(int number) noexcept : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.number_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  // Keeps errno, so that an error path may drop descriptors before it reads errno.
  void reset(int number = -1) noexcept {
    if (number_ >= 0) {
      const int saved = errno;
      ::close(number_);
      errno = saved;
    }
    number_ = number;
  }

 private:
  int number_ = -1;
};

}  // namespace bulkhead
