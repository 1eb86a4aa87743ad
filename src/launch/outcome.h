// How far the child came, and why it came no further: one page of memory that both halves of a launch
// share. To write it takes no system call, so that a seccomp profile that denies every call, the
// errors' included, cannot hide that the program was not executed.
//
// The parent reads it once the child's end of the handshake is closed, which execve and death do.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::launch {

// What the child says when it cannot go on.
struct Failure {
  std::int32_t error = 0;
  char layer[32] = {};
  char call[96] = {};
  char subject[256] = {};  // empty: none
  // The first bytes of the file that execve refused, so that the parent can say why.
  std::uint32_t head_size = 0;
  char head[1024] = {};
};

enum class Phase : std::uint32_t {
  kBuilding = 0,  // what a new page holds
  kExecuting,     // about to install the last layers and to call execve
  kFailed,        // the Failure stands
};

class Outcome {
 public:
  // A new page, to be inherited by clone. Linux 3.17 (memfd_create).
  static SysResult<Outcome> make() noexcept;
  // The page that another process made and sealed: EBADMSG for a file that could be shorter than a
  // page, now or later, because to read behind its end would kill us.
  static SysResult<Outcome> open(Fd file) noexcept;
  // Before it is handed to a process that does not inherit it.
  SysResult<void> seal() const noexcept;

  Outcome() = default;
  Outcome(Outcome&& other) noexcept
      : file_(std::move(other.file_)), page_(std::exchange(other.page_, nullptr)) {}
  Outcome& operator=(Outcome&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(page_, other.page_);
    return *this;
  }
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;
  ~Outcome();

  Phase phase() const noexcept { return page_->phase.load(std::memory_order_acquire); }
  // Only while phase() is kFailed. Every text ends in a NUL, whatever stands in the page, and the
  // layer's and the call's names are printable.
  Failure failure() const noexcept;

  void set_executing() const noexcept;
  void set_failed(std::string_view layer, const SysError& error,
                  std::string_view head = {}) const noexcept;

  // To hand the page to a process that does not inherit it; close-on-exec.
  int descriptor() const noexcept { return file_.get(); }
  // Nobody else will ask for it.
  void close_descriptor() noexcept { file_.reset(); }

 private:
  struct Page {
    std::atomic<Phase> phase;
    Failure failure;
  };
  static SysResult<Outcome> map(Fd file) noexcept;
  Outcome(Fd file, Page* page) noexcept : file_(std::move(file)), page_(page) {}

  Fd file_;
  Page* page_ = nullptr;
};

// Copies as much of `text` as fits, with a terminating NUL.
void copy_text(std::span<char> target, std::string_view text) noexcept;

}  // namespace bulkhead::launch
