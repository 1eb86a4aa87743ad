// Runs commands under ptrace(2) and refuses one of their system calls: it is not executed, and the
// process sees an error that we choose. It follows every fork, thread and execution.
//
//   injector OPTIONS -- COMMAND... [--then COMMAND...]...
//     --report FILE           where the account goes; needed
//     --list                  note every call that could be refused
//     --refuse ROLE NAME N ERROR   the Nth call of that name by that process (from 1)
//     --user UID              run the commands as that user
//     --seconds N             how long all of it may take
//   injector --absent NAME,NAME... -- COMMAND...
//     executes the command where those calls do not exist (ENOSYS), for it and all that it starts
//
// A command follows when the one before it has succeeded. Roles name processes by their descent: "2" is
// the second command, "2.1" its first child, "2t1" its first thread. A child that executes a program
// has become the workload (or a hook): its calls are neither listed nor refused.
//
// The account, a line each:
//   call ROLE NAME N DETAIL      with --list
//   refused DETAIL               the call was met
//   executed ROLE PATH           a child became another program
//   exit NUMBER CODE             of a command; 128 + signal when killed
//   binary ROLE protected|writable    of the runtime, when that process of it makes another
//   alive ROLE                   still there after the last command had ended
//   hang ROLE NAME               all had to be killed; where the process was
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr int kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
constexpr int kPatienceMilliseconds = 3000;
constexpr int kShortPatienceMilliseconds = 150;  // where processes are expected to stay

struct Name {
  const char* name;
  int number;
};
constexpr Name kNames[] = {
#define SYSCALL(name, x86_64, i386, x32) {#name, x86_64},
#include "isolation/seccomp/syscall_rows.inc"
#undef SYSCALL
};

std::string name_of(long number) {
  for (const Name& row : kNames)
    if (row.number == number) return row.name;
  return "syscall_" + std::to_string(number);
}

int number_of(std::string_view name) {
  for (const Name& row : kNames)
    if (name == row.name) return row.number;
  std::fprintf(stderr, "injector: no system call is named %.*s\n", static_cast<int>(name.size()),
               name.data());
  std::exit(2);
}

int error_of(std::string_view name) {
  const std::pair<const char*, int> errors[] = {
      {"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"ENOMEM", ENOMEM}, {"EINTR", EINTR}};
  for (const auto& [text, number] : errors)
    if (name == text) return number;
  std::fprintf(stderr, "injector: the errors are EPERM, ENOSYS, ENOMEM and EINTR\n");
  std::exit(2);
}

// To refuse these is to ask for the impossible: libc knows no answer, and takes an error of brk(2),
// which has none, for an address.
bool is_refusable(long number) {
  return number != SYS_brk && number != SYS_exit && number != SYS_exit_group &&
         number != SYS_rt_sigreturn && number != SYS_restart_syscall;
}

struct Wish {
  bool list = false;
  std::string role;
  long number = -1;
  int occurrence = 0;
  int error = 0;
  int user = -1;
  int seconds = 20;
  std::string report;
  std::vector<std::vector<char*>> commands;
};

struct Task {
  std::string role;
  bool is_child = false;  // of a command: an execution ends our interest
  bool is_workload = false;
  bool known = false;     // its maker has told us of it
  bool stopped = false;   // before that
  bool refusing = false;  // between the entry and the exit of the refused call
  bool fresh = false;     // a command before its first execution
  int children = 0;
  int threads = 0;
  long current = -1;
  std::map<long, int> counts;
};

volatile sig_atomic_t time_is_up = 0;

class Tracer {
 public:
  Tracer(const Wish& wish, FILE* report) : wish_(wish), report_(report) {}

  void run() {
    bool failed = false;
    for (std::size_t i = 0; i < wish_.commands.size() && !failed && !hung_; ++i) {
      const int code = run_command(static_cast<int>(i + 1), wish_.commands[i]);
      std::fprintf(report_, "exit %zu %d\n", i + 1, code);
      failed = code != 0;
      if (failed && i > 0) patience_ = kShortPatienceMilliseconds;
    }
    if (!hung_) wait_for_the_rest();
  }

 private:
  // The command waits for our attachment before it executes.
  int run_command(int number, const std::vector<char*>& command) {
    int gate[2];
    if (::pipe2(gate, O_CLOEXEC) != 0) die("pipe2");
    const int pid = ::fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
      ::close(gate[1]);
      char byte;
      while (::read(gate[0], &byte, 1) < 0 && errno == EINTR) continue;
      if (wish_.user >= 0) {
        const auto user = static_cast<unsigned>(wish_.user);
        if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 ||
            ::setresuid(user, user, user) != 0)
          ::_exit(126);
      }
      ::execv(command[0], command.data());
      ::_exit(127);
    }
    ::close(gate[0]);
    if (::ptrace(PTRACE_SEIZE, pid, 0, kOptions) != 0) die("PTRACE_SEIZE");
    Task& task = tasks_[pid];
    task.role = std::to_string(number);
    task.known = task.fresh = true;
    ::close(gate[1]);
    waited_for_ = pid;
    exit_code_ = -1;
    while (exit_code_ < 0 && !hung_) step(0);
    return exit_code_ < 0 ? 124 : exit_code_;
  }

  // Once a command has failed, what is there may have been made by an earlier one.
  void wait_for_the_rest() {
    waited_for_ = -1;
    const timespec pause{0, 2'000'000};
    for (int waited = 0; !tasks_.empty() && waited < patience_ && !hung_; waited += 2)
      if (!step(WNOHANG)) ::nanosleep(&pause, nullptr);
    for (const auto& [pid, task] : tasks_)
      if (!hung_) std::fprintf(report_, "alive %s\n", task.role.c_str());
    // Our own end lets go of them.
  }

  // False: nothing has happened.
  bool step(int options) {
    int status = 0;
    const int pid = ::waitpid(-1, &status, __WALL | options);
    if (time_is_up != 0) return end_hang(), false;
    if (pid < 0 && errno == EINTR) return true;
    if (pid < 0 && errno == ECHILD && options != 0) return false;
    if (pid < 0) die("waitpid");
    if (pid == 0) return false;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (pid == waited_for_)
        exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      tasks_.erase(pid);
      return true;
    }
    handle_stop(pid, status);
    return true;
  }

  void handle_stop(int pid, int status) {
    Task& task = tasks_[pid];
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (!task.known) {
      // Its maker's report is still on its way.
      task.stopped = true;
      return;
    }
    if (signal == (SIGTRAP | 0x80)) return syscall_stop(pid, task);
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
      return fork_stop(pid);
    if (event == PTRACE_EVENT_EXEC) return exec_stop(pid, task);
    if (event == PTRACE_EVENT_STOP) {
      if (signal == SIGTRAP) return resume(pid, task);
      ::ptrace(PTRACE_LISTEN, pid, 0, 0);
      return;
    }
    resume(pid, task, signal);
  }

  void fork_stop(int pid) {
    unsigned long made = 0;
    ::ptrace(PTRACE_GETEVENTMSG, pid, 0, &made);
    const int child = static_cast<int>(made);
    const std::string entry = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(child);
    const bool is_thread = ::access(entry.c_str(), F_OK) == 0;
    Task& fresh = tasks_[child];
    Task& maker = tasks_[pid];
    fresh.role = maker.role + (is_thread ? "t" + std::to_string(++maker.threads)
                                         : "." + std::to_string(++maker.children));
    fresh.is_child = maker.is_child || !is_thread;
    fresh.is_workload = maker.is_workload;
    fresh.known = true;
    if (!is_thread && !fresh.is_workload)
      std::fprintf(report_, "binary %s %s\n", maker.role.c_str(),
                   is_protected(child) ? "protected" : "writable");
    if (fresh.stopped) resume(child, fresh);
    resume(pid, maker);
  }

  // Whether nobody can write to the program that the process runs: from a read-only mount, or sealed.
  static bool is_protected(int pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/exe";
    struct statvfs system{};
    if (::statvfs(path.c_str(), &system) == 0 && (system.f_flag & ST_RDONLY) != 0) return true;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const int seals = fd < 0 ? -1 : ::fcntl(fd, F_GET_SEALS);
    if (fd >= 0) ::close(fd);
    return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
  }

  void exec_stop(int pid, Task& task) {
    task.fresh = false;
    if (task.is_child && !task.is_workload) {
      char path[512] = {};
      const std::string link = "/proc/" + std::to_string(pid) + "/exe";
      if (::readlink(link.c_str(), path, sizeof path - 1) < 0) path[0] = '?';
      std::fprintf(report_, "executed %s %s\n", task.role.c_str(), path);
      task.is_workload = true;
    }
    resume(pid, task);
  }

  void syscall_stop(int pid, Task& task) {
    struct __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      entry(pid, task, info);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      if (task.refusing) {
        task.refusing = false;
        set_register(pid, offsetof(struct user, regs.rax), -wish_.error);
      }
      task.current = -1;
    }
    resume(pid, task);
  }

  void entry(int pid, Task& task, const struct __ptrace_syscall_info& info) {
    const long number = static_cast<long>(info.entry.nr);
    task.current = number;
    if (task.is_workload || task.fresh || !is_refusable(number)) return;
    const int occurrence = ++task.counts[number];
    if (wish_.list)
      std::fprintf(report_, "call %s %s %d %s\n", task.role.c_str(), name_of(number).c_str(),
                   occurrence, detail(pid, info).c_str());
    if (done_ || number != wish_.number || occurrence != wish_.occurrence ||
        task.role != wish_.role)
      return;
    std::fprintf(report_, "refused %s\n", detail(pid, info).c_str());
    // Whatever close(2) says, the descriptor is gone.
    if (number != SYS_close) set_register(pid, offsetof(struct user, regs.orig_rax), -1);
    task.refusing = true;
    done_ = true;
  }

  // Until the call is met every call counts; then the rest may run undisturbed.
  void resume(int pid, const Task& task, int signal = 0) {
    const bool watch = !task.is_workload && (wish_.list || !done_ || task.refusing);
    ::ptrace(watch ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, signal);
  }

  static void set_register(int pid, std::size_t offset, long value) {
    if (::ptrace(PTRACE_POKEUSER, pid, offset, value) != 0) die("PTRACE_POKEUSER");
  }

  void end_hang() {
    if (hung_) return;
    hung_ = true;
    for (const auto& [pid, task] : tasks_) {
      std::fprintf(report_, "hang %s %s\n", task.role.c_str(), name_of(task.current).c_str());
      ::kill(pid, SIGKILL);
    }
  }

  // What the call is about: the file behind its first argument, paths and small numbers among the
  // others. Enough to tell one prctl from another.
  static std::string detail(int pid, const struct __ptrace_syscall_info& info) {
    std::string text;
    for (int i = 0; i < 4; ++i) {
      if (i > 0) text += ',';
      text += describe(pid, info.entry.args[i], i == 0 && !takes_number(info.entry.nr));
    }
    return text;
  }

  static bool takes_number(unsigned long call) {
    for (const long number :
         {SYS_prctl, SYS_keyctl, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_umask, SYS_setresuid,
          SYS_setresgid, SYS_setgroups, SYS_getgroups, SYS_socket, SYS_socketpair, SYS_kill,
          SYS_personality, SYS_prlimit64, SYS_unshare, SYS_wait4, SYS_waitid})
      if (static_cast<long>(call) == number) return true;
    return false;
  }

  static std::string describe(int pid, unsigned long value, bool is_descriptor) {
    if (static_cast<int>(value) == AT_FDCWD) return "cwd";
    if (value < 4096) {
      char target[256] = {};
      const std::string link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(value);
      if (is_descriptor && ::readlink(link.c_str(), target, sizeof target - 1) > 0)
        return std::to_string(value) + "<" + target + ">";
      return std::to_string(value);
    }
    const std::string string = read_text(pid, value);
    return string.empty() ? "-" : "\"" + string + "\"";
  }

  // A short text at the address; empty when it is none.
  static std::string read_text(int pid, unsigned long address) {
    std::string text;
    for (unsigned i = 0; i < 24; ++i) {
      errno = 0;
      const long word = ::ptrace(PTRACE_PEEKDATA, pid, address + i * 8, 0);
      if (errno != 0) return {};
      for (int byte = 0; byte < 8; ++byte) {
        const char c = static_cast<char>(word >> (8 * byte));
        if (c == '\0') return text;
        if (c <= ' ' || c > '~') return {};
        text += c;
      }
    }
    return text;
  }

  [[noreturn]] static void die(const char* what) {
    std::fprintf(stderr, "injector: %s: %s\n", what, std::strerror(errno));
    std::exit(2);
  }

  const Wish& wish_;
  FILE* report_;
  std::map<int, Task> tasks_;
  int waited_for_ = -1;
  int exit_code_ = -1;
  int patience_ = kPatienceMilliseconds;
  bool done_ = false;
  bool hung_ = false;
};

// The filter stays with the process and all that it starts.
int run_without(std::string_view names, char** command) {
  std::vector<sock_filter> program;
  const auto add = [&](sock_filter instruction) { program.push_back(instruction); };
  add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  while (!names.empty()) {
    const std::size_t comma = names.find(',');
    const int number = number_of(names.substr(0, comma));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    names = comma == std::string_view::npos ? std::string_view{} : names.substr(comma + 1);
  }
  add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
    std::perror("injector: seccomp");
    return 2;
  }
  ::execv(command[0], command);
  std::perror("injector: execv");
  return 2;
}

int usage() {
  std::fprintf(stderr,
               "usage: injector --report FILE [--list | --refuse ROLE NAME N ERROR] [--user UID] "
               "[--seconds N] -- COMMAND... [--then COMMAND...]\n"
               "       injector --absent NAME,... -- COMMAND...\n");
  return 2;
}

void on_alarm(int) { time_is_up = 1; }

// The index of the first word of the first command; 0 for a wrong use.
int read_options(int count, char** values, Wish& wish) {
  int i = 1;
  for (; i < count && std::strcmp(values[i], "--") != 0; ++i) {
    const std::string_view option = values[i];
    if (option == "--list") {
      wish.list = true;
    } else if (option == "--refuse" && i + 4 < count) {
      wish.role = values[++i];
      wish.number = number_of(values[++i]);
      wish.occurrence = std::atoi(values[++i]);
      wish.error = error_of(values[++i]);
    } else if (option == "--user" && i + 1 < count) {
      wish.user = std::atoi(values[++i]);
    } else if (option == "--seconds" && i + 1 < count) {
      wish.seconds = std::atoi(values[++i]);
    } else if (option == "--report" && i + 1 < count) {
      wish.report = values[++i];
    } else {
      return 0;
    }
  }
  return i + 1 < count && !wish.report.empty() ? i + 1 : 0;
}

}  // namespace

int main(int count, char** values) {
  if (count > 4 && std::strcmp(values[1], "--absent") == 0 && std::strcmp(values[3], "--") == 0)
    return run_without(values[2], values + 4);
  Wish wish;
  const int first = read_options(count, values, wish);
  if (first == 0) return usage();
  wish.commands.emplace_back();
  for (int i = first; i < count; ++i) {
    if (std::strcmp(values[i], "--then") == 0)
      wish.commands.emplace_back();
    else
      wish.commands.back().push_back(values[i]);
  }
  for (std::vector<char*>& command : wish.commands) {
    if (command.empty()) return usage();
    command.push_back(nullptr);
  }
  FILE* const report = std::fopen(wish.report.c_str(), "we");
  if (report == nullptr) {
    std::perror("injector: the report");
    return 2;
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  struct sigaction action{};
  action.sa_handler = on_alarm;
  ::sigaction(SIGALRM, &action, nullptr);
  ::alarm(static_cast<unsigned>(wish.seconds));
  Tracer(wish, report).run();
  std::fclose(report);
  return 0;
}
