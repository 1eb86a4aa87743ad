#include "isolation/seccomp/handover.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "isolation/seccomp/seccomp.h"

namespace bulkhead::isolation::seccomp {
namespace {

// What the two threads share. One launch per process: static, so that nothing is allocated and the
// stack is not on a stack that execve's caller may need.
struct Exchange {
  static constexpr int kPending = -1;
  static constexpr int kNone = -2;  // no filter was installed

  std::atomic<int> listener{kPending};
  std::atomic<bool> done{false};
  const ParentLink* parent = nullptr;
  SysResult<void> sent;
  alignas(16) char stack[32 * 1024] = {};
};

// The compiler's stack protector and errno work here: a thread made without CLONE_SETTLS shares the
// first thread's storage, which that one does not touch while it spins.
int carry(void* argument) noexcept {
  auto& exchange = *static_cast<Exchange*>(argument);
  int listener = exchange.listener.load(std::memory_order_acquire);
  while (listener == Exchange::kPending) {
    ::sched_yield();
    listener = exchange.listener.load(std::memory_order_acquire);
  }
  if (listener >= 0)
    exchange.sent = exchange.parent->send_descriptor(exchange.parent->self,
                                                     Seccomp::kListenerPurpose, listener);
  exchange.done.store(true, std::memory_order_release);
  return 0;
}

void wait_without_system_call(const std::atomic<bool>& done) noexcept {
  while (!done.load(std::memory_order_acquire)) __builtin_ia32_pause();
}

}  // namespace

long install(const sock_fprog& program, std::uint32_t flags) noexcept {
  long result = SYS_seccomp;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(static_cast<unsigned long>(SECCOMP_SET_MODE_FILTER)),
                 "S"(static_cast<unsigned long>(flags)), "d"(&program)
               : "rcx", "r11", "memory");
  return result;
}

SysResult<void> install_and_hand_over(const sock_fprog& program, std::uint32_t flags,
                                      const ParentLink& parent) noexcept {
  if (parent.send_descriptor == nullptr)
    return sys_fail_with(ENOTCONN, "hand over the seccomp listener");
  static constinit Exchange exchange;
  exchange.parent = &parent;
  exchange.listener.store(Exchange::kPending, std::memory_order_relaxed);
  exchange.done.store(false, std::memory_order_relaxed);
  constexpr int kThread =
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  if (::clone(carry, exchange.stack + sizeof exchange.stack, kThread, &exchange) < 0)
    return sys_fail("clone: a thread to hand over the seccomp listener");
  const long result = install(program, flags);
  exchange.listener.store(result >= 0 ? static_cast<int>(result) : Exchange::kNone,
                          std::memory_order_release);
  wait_without_system_call(exchange.done);
  if (result < 0)
    return sys_fail_with(static_cast<int>(-result), "seccomp(SET_MODE_FILTER, NEW_LISTENER)");
  return exchange.sent;
}

}  // namespace bulkhead::isolation::seccomp
