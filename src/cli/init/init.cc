// bulkhead-init: process 1 of a container of `bulkhead run --init`. It starts the container's program,
// passes signals on to it, reaps whatever becomes an orphan, and ends as the program ended; the kernel
// then ends all that is left in the container.
//
//   /dev/init PROGRAM [ARGUMENT...]
//
// It runs inside the container, by the container's user and behind all of its layers, from a file that
// is shown there read-only. So it is as small as can be: no allocation, no file, and where the machine
// is known to raw_call.h no C library; a start costs it about as little as a fork.
#include <asm/signal.h>
#include <asm/termbits.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cerrno>

#include "cli/init/bare.h"

namespace bulkhead::init {
namespace {

using SignalSet = unsigned long;
static_assert(sizeof(SignalSet) * 8 == 64, "the kernel has 64 signals");

constexpr SignalSet bit_of(int signal) { return SignalSet{1} << (signal - 1); }
// What a mistake of ours raises must end us: a blocked one would do so, too, but without a trace.
constexpr SignalSet kOurOwnFaults = bit_of(SIGFPE) | bit_of(SIGILL) | bit_of(SIGSEGV) |
                                    bit_of(SIGBUS) | bit_of(SIGABRT) | bit_of(SIGTRAP) |
                                    bit_of(SIGSYS);
// A terminal's answers to us, who do not belong to its foreground: they would stop us.
constexpr int kOfTheTerminal[] = {SIGTTIN, SIGTTOU};

constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kFailed = 125;

// The kernel's own structure; libc's is another.
struct Action {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  SignalSet mask;
};

void say(const char* text) { (void)call(SYS_write, 2, address(text), long_of(length(text))); }

[[noreturn]] void fail(int code, const char* what, const char* why) {
  say("bulkhead-init: ");
  say(what);
  say(": ");
  say(why);
  say("\n");
  quit(code);
}

void set_handler(int signal, void (*handler)(int)) {
  const Action action = {handler, 0, nullptr, 0};
  (void)call(SYS_rt_sigaction, signal, address(&action), 0, sizeof(SignalSet));
}

void set_mask(SignalSet mask) {
  (void)call(SYS_rt_sigprocmask, SIG_SETMASK, address(&mask), 0, sizeof(SignalSet));
}

const char* variable(char** environment, const char* name) {
  const unsigned long size = length(name);
  for (; *environment != nullptr; ++environment)
    if (begins_with(*environment, name) && (*environment)[size] == '=')
      return *environment + size + 1;
  return nullptr;
}

// execvp(3): along PATH where the name has no slash. The errno that says most.
long execute(char** arguments, char** environment) {
  const char* const program = arguments[0];
  if (contains(program, '/'))
    return -call(SYS_execve, address(program), address(arguments), address(environment));
  const char* path = variable(environment, "PATH");
  if (path == nullptr) path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  long worst = ENOENT;
  for (;;) {
    unsigned long size = 0;
    while (path[size] != '\0' && path[size] != ':') ++size;
    char candidate[4096];
    // An empty part is the working directory.
    if (join(candidate, sizeof candidate, path, size, program)) {
      const long error =
          -call(SYS_execve, address(candidate), address(arguments), address(environment));
      if (error != ENOENT && error != ENOTDIR) worst = error;
    }
    if (path[size] == '\0') return worst;
    path += size + 1;
  }
}

// The program's group becomes the terminal's foreground, if one of the first descriptors is a terminal
// that we control.
bool give_terminal_to(long group) {
  const int number = static_cast<int>(group);
  for (int fd = 0; fd <= 2; ++fd)
    if (call(SYS_ioctl, fd, TIOCSPGRP, address(&number)) == 0) return true;
  return false;
}

[[noreturn]] void become(char** arguments, char** environment) {
  (void)call(SYS_setpgid, 0, 0);
  (void)give_terminal_to(call(SYS_getpid));
  for (const int signal : kOfTheTerminal) set_handler(signal, SIG_DFL);
  set_mask(0);
  const long error = execute(arguments, environment);
  const char* why = "it cannot be executed";
  if (error == ENOENT) why = "there is no such program, or no interpreter or loader for it";
  if (error == EACCES) why = "permission denied";
  if (error == ENOEXEC) why = "it is no program for this machine";
  fail(error == ENOENT ? kNotFound : kNotExecutable, arguments[0], why);
}

struct Program {
  long pid = 0;
  bool has_terminal = false;
};

// To the whole group where there is a terminal, as the terminal itself would.
void pass_on(int signal, const Program& program) {
  (void)call(SYS_kill, program.has_terminal ? -program.pid : program.pid, signal);
}

// Reaps all that is dead. The exit code once the program is among it, else -1.
int reap(const Program& program) {
  int code = -1;
  for (;;) {
    int status = 0;
    constexpr long kNoHang = 1;
    const long pid = call(SYS_wait4, -1, address(&status), kNoHang, 0);
    if (pid == -EINTR) continue;
    if (pid <= 0) return code;
    if (pid != program.pid) continue;
    const int signal = status & 0x7F;
    code = signal == 0 ? (status >> 8) & 0xFF : 128 + signal;
  }
}

}  // namespace

int run(int count, char** arguments, char** environment) {
  // Anywhere else our end would end nobody, and orphans would not come to us.
  if (call(SYS_getpid) != 1) fail(kFailed, "this", "is for process 1 of a container");
  if (count < 2) fail(kFailed, "usage", "bulkhead-init PROGRAM [ARGUMENT...]");
  for (const int signal : kOfTheTerminal) set_handler(signal, SIG_IGN);
  SignalSet awaited = ~kOurOwnFaults;
  for (const int signal : kOfTheTerminal) awaited &= ~bit_of(signal);
  set_mask(awaited);

  Program program;
  program.pid = fork_process();
  if (program.pid < 0) fail(kFailed, "fork", "no process could be made");
  if (program.pid == 0) become(arguments + 1, environment);
  // Both sides do this: whichever is first, it holds before the program runs and before we pass on.
  (void)call(SYS_setpgid, program.pid, program.pid);
  program.has_terminal = give_terminal_to(program.pid);

  for (;;) {
    const long signal = call(SYS_rt_sigtimedwait, address(&awaited), 0, 0, sizeof(SignalSet));
    if (signal == SIGCHLD) {
      if (const int code = reap(program); code >= 0) return code;
    } else if (signal > 0) {
      pass_on(static_cast<int>(signal), program);
    }
  }
}

}  // namespace bulkhead::init
