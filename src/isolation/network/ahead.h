// A network namespace that is made while the runtime still reads and plans.
//
// Making one is the dearest single step of a start (0.3 to 0.6 ms: the kernel sets up some fifty
// protocols), and the kernel can do it in a second thread on another processor. The container then
// enters it by descriptor instead of making its own. That is only right where no new user namespace
// is to own it: a network namespace belongs to the user namespace of whoever makes it.
//
// The thread is a bare one: it shares the memory and the thread-local storage of the process, so that
// it makes system calls without the C library and touches nothing but this object.
#pragma once

#include "oci/spec.h"
#include "sys/fd.h"

namespace bulkhead::isolation {

class NetworkAhead {
 public:
  // Whether the specification asks for a new network namespace that this process's own user namespace
  // is to own.
  static bool fits(const oci::Spec& spec);

  NetworkAhead() = default;
  NetworkAhead(const NetworkAhead&) = delete;
  NetworkAhead& operator=(const NetworkAhead&) = delete;
  // Waits for the thread, which uses this object.
  ~NetworkAhead() { (void)take(); }

  // Begins. Where the kernel gives no thread, nothing happens.
  void start() noexcept;
  // Waits until the thread is gone, as clone(2) and fork(2) require; then the namespace with its
  // loopback interface raised, or nothing when it could not be made: the network layer then makes
  // one itself, and reports why it cannot.
  Fd take() noexcept;

 private:
  static int make(void* self) noexcept;
  void wait() noexcept;

  alignas(16) char stack_[8192];
  int running_ = 0;  // the thread's number, cleared and woken by the kernel when it is gone
  int socket_ = -1;
  int namespace_ = -1;
};

}  // namespace bulkhead::isolation
