#include "cli/init/bare.h"

#include <asm/signal.h>

#if !defined(BULKHEAD_HAS_RAW_CALL)
#include <errno.h>
#include <unistd.h>
#endif

namespace bulkhead::init {

#if defined(BULKHEAD_HAS_RAW_CALL)

long call(long number, long a, long b, long c, long d) noexcept {
  return raw_call(number, a, b, c, d);
}

// From the kernel's start of the process: the stack holds the count, the arguments and the environment.
extern "C" [[noreturn, gnu::used]] void bulkhead_init_start(long* stack) {
  auto** const arguments = reinterpret_cast<char**>(stack + 1);
  quit(run(static_cast<int>(stack[0]), arguments, arguments + stack[0] + 1));
}
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  xorl %ebp, %ebp\n"
    "  movq %rsp, %rdi\n"
    "  andq $-16, %rsp\n"
    "  call bulkhead_init_start\n");

// Compilers call these by themselves. Not as loops: those would be made into calls of themselves.
extern "C" [[gnu::used]] void* memset(void* to, int byte, unsigned long size) {
  void* at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
  return to;
}
extern "C" [[gnu::used]] void* memcpy(void* to, const void* from, unsigned long size) {
  void* at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}

#else

long call(long number, long a, long b, long c, long d) noexcept {
  const long result = ::syscall(number, a, b, c, d);
  return result < 0 ? -errno : result;
}

#endif

void quit(int code) noexcept {
  for (;;) (void)call(SYS_exit_group, code);
}

// clone(2) with nothing shared: what fork(2) is on every machine.
long fork_process() noexcept { return call(SYS_clone, SIGCHLD, 0, 0, 0); }

}  // namespace bulkhead::init

#if !defined(BULKHEAD_HAS_RAW_CALL)
int main(int count, char** arguments, char** environment) {
  return bulkhead::init::run(count, arguments, environment);
}
#endif
