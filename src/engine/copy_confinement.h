// How a process of copy_worker.h is locked in.
#pragma once

#include "base/result.h"
#include "isolation/host_facts.h"
#include "sys/fd.h"

namespace bulkhead::engine {

class CopyConfinement {
 public:
  // While the host can still be seen.
  static Result<CopyConfinement> prepare();
  // Where the process is to stay: capabilities, no-new-privileges, limits, every descriptor from
  // `first_unused` on closed, and seccomp.
  Result<void> enter(unsigned first_unused) &&;

 private:
  CopyConfinement(isolation::HostFacts host, Fd proc)
      : host_(std::move(host)), proc_(std::move(proc)) {}
  isolation::HostFacts host_;
  Fd proc_;
};

}  // namespace bulkhead::engine
