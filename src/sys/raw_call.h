// A system call without the C library: no errno, no thread-local storage. For code that runs where
// neither is there or neither is its own: before the C library has started, and in a bare thread.
#pragma once

namespace bulkhead {

#if defined(__x86_64__)
#define BULKHEAD_HAS_RAW_CALL 1

// The kernel's answer: a result, or the negated errno.
inline long raw_call(long number, long a, long b = 0, long c = 0, long d = 0, long e = 0) noexcept {
  long result = 0;
  register long fourth __asm__("r10") = d;
  register long fifth __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                   : "rcx", "r11", "memory");
  return result;
}

template <class T>
long as_argument(T* pointer) noexcept {
  return reinterpret_cast<long>(pointer);
}
#endif

}  // namespace bulkhead
