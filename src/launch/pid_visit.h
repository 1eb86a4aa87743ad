// Cloning into a pid namespace that exists, without a process in between.
#pragma once

#include "base/result.h"
#include "sys/pidfd.h"

namespace bulkhead::launch {

// While this lives, what this process clones is born in the pid namespace of another process; the
// caller itself stays where it is. Linux 5.8 (setns on a pidfd).
class PidNamespaceVisit {
 public:
  // Nothing is done when `enter` is false.
  static Result<PidNamespaceVisit> enter(const PidFd& process, bool enter);
  PidNamespaceVisit(PidNamespaceVisit&&) noexcept = default;
  PidNamespaceVisit& operator=(PidNamespaceVisit&&) = delete;
  ~PidNamespaceVisit();

 private:
  explicit PidNamespaceVisit(Fd home) : home_(std::move(home)) {}
  Fd home_;
};

}  // namespace bulkhead::launch
