// What a hostile program tries from inside a container. One static program with a command for each
// attempt; it prints "ESCAPED ..." when it got what it should not have, and "held ..." otherwise.
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

namespace {

double now() {
  struct timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

int verdict(bool escaped, const char* what) {
  std::printf("%s %s (errno %d: %s)\n", escaped ? "ESCAPED" : "held", what, errno,
              std::strerror(errno));
  return 0;
}

// Exchanges two names in a directory for some seconds: what a container that shares a volume does
// while another is set up.
int swap(const char* first, const char* second, double seconds) {
  for (const double end = now() + seconds; now() < end;)
    ::syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, 2U /* RENAME_EXCHANGE */);
  return 0;
}

// Whether a process has become the program that the test lets in ("true"), or is gone. Asked for after
// each success: what was reached before that was the runtime's. The name is readable for everybody.
bool is_ours(int pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/comm";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char name[32] = {};
  const bool known = fd >= 0 && ::read(fd, name, sizeof name - 1) > 0;
  if (fd >= 0) ::close(fd);
  return !known || std::strcmp(name, "true\n") == 0;
}

// Waits for processes that come into our pid namespace and tries to take hold of them.
int ambush(double seconds) {
  const double end = now() + seconds;
  while (now() < end) {
    DIR* proc = ::opendir("/proc");
    if (proc == nullptr) return verdict(false, "no /proc");
    while (const dirent* entry = ::readdir(proc)) {
      const int pid = std::atoi(entry->d_name);
      if (pid <= 1 || pid == ::getpid()) continue;
      // Is it the runtime still, or a program of the container already? The answer is asked for
      // again after each success, because it may have become one in between.
      if (is_ours(pid)) continue;
      const std::string base = "/proc/" + std::to_string(pid);
      char link[256] = {};
      if (::readlink((base + "/exe").c_str(), link, sizeof link - 1) > 0 && !is_ours(pid)) {
        std::printf("ESCAPED saw the executable %s of process %d\n", link, pid);
        return 0;
      }
      // The numbers may be listed by the same user; what they stand for may not be reached.
      for (int fd = 0; fd < 32; ++fd) {
        const std::string path = base + "/fd/" + std::to_string(fd);
        if (::open(path.c_str(), O_PATH) >= 0 && !is_ours(pid)) {
          std::printf("ESCAPED opened descriptor %d of process %d\n", fd, pid);
          return 0;
        }
      }
      if (::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) == 0) {
        ::waitpid(pid, nullptr, __WALL);
        const bool ours = is_ours(pid);
        ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
        if (!ours) {
          std::printf("ESCAPED traced process %d\n", pid);
          return 0;
        }
      }
    }
    ::closedir(proc);
  }
  std::printf("held nobody could be taken\n");
  return 0;
}

// Holds on to the executable of whatever enters the container until it can be written.
int overwrite(double seconds) {
  int held = -1;
  for (const double end = now() + seconds; now() < end && held < 0;) {
    for (int pid = 1; pid < 64 && held < 0; ++pid) {
      if (pid == ::getpid()) continue;
      const std::string path = "/proc/" + std::to_string(pid) + "/exe";
      char link[256] = {};
      if (::readlink(path.c_str(), link, sizeof link - 1) <= 0) continue;
      if (std::strstr(link, "busybox") != nullptr || std::strstr(link, "guest") != nullptr)
        continue;
      held = ::open(path.c_str(), O_PATH | O_CLOEXEC);
      if (held >= 0) std::printf("took hold of %s\n", link);
    }
  }
  if (held < 0) return verdict(false, "the runtime's binary was never seen");
  const std::string own = "/proc/self/fd/" + std::to_string(held);
  for (const double end = now() + 3; now() < end;) {
    const int fd = ::open(own.c_str(), O_WRONLY);
    if (fd >= 0) return verdict(true, "opened the runtime's binary for writing");
    if (errno != ETXTBSY) break;
  }
  return verdict(false, "the runtime's binary cannot be written");
}

int list_descriptors() {
  for (int fd = 0; fd < 1024; ++fd) {
    char link[512] = {};
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(path.c_str(), link, sizeof link - 1) > 0) std::printf("%d %s\n", fd, link);
  }
  return 0;
}

int attempt(std::string_view what) {
  errno = 0;
  if (what == "user-namespace") return verdict(::unshare(CLONE_NEWUSER) == 0, "unshare(NEWUSER)");
  if (what == "af-alg") return verdict(::socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0, "socket(AF_ALG)");
  if (what == "af-vsock")
    return verdict(::socket(AF_VSOCK, SOCK_STREAM, 0) >= 0, "socket(AF_VSOCK)");
  if (what == "packet") return verdict(::socket(AF_PACKET, SOCK_RAW, 0) >= 0, "socket(AF_PACKET)");
  if (what == "keyctl")
    return verdict(::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) >= 0,
                   "keyctl");
  if (what == "io-uring") {
    char parameters[120] = {};
    return verdict(::syscall(425, 1, parameters) >= 0, "io_uring_setup");
  }
  if (what == "bpf")
    return verdict(::syscall(SYS_bpf, 0, nullptr, 0) >= 0 || errno == EINVAL, "bpf");
  if (what == "userfaultfd") return verdict(::syscall(SYS_userfaultfd, 1) >= 0, "userfaultfd");
  if (what == "perf") {
    char attributes[128] = {};
    return verdict(::syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) >= 0 || errno == EINVAL,
                   "perf_event_open");
  }
  if (what == "mount")
    return verdict(::syscall(SYS_mount, "x", "/tmp", "tmpfs", 0, nullptr) == 0, "mount");
  // By the numbers of the x32 ABI, which a kernel may have beside those of x86-64.
  constexpr long kX32 = 0x40000000;
  if (what == "x32") return verdict(::syscall(kX32 | SYS_getpid) > 0, "x32 getpid");
  if (what == "x32-keyctl")
    return verdict(
        ::syscall(kX32 | SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) >= 0,
        "x32 keyctl");
  if (what == "socketcall") {
    // Any socket by the 32-bit call whose arguments no filter can see.
    long result = 0;
    // Below 4 GiB, as the 32-bit call wants it: a static program's data lies there.
    static unsigned arguments[3] = {AF_UNIX, SOCK_STREAM, 0};
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(102), "b"(1), "c"(arguments)
                 : "memory", "r8", "r9", "r10", "r11");
    errno = result < 0 ? static_cast<int>(-result) : 0;
    return verdict(result >= 0, "32-bit socketcall");
  }
  std::printf("unknown attempt\n");
  return 2;
}

}  // namespace

int main(int count, char** values) {
  const std::string_view command = count > 1 ? values[1] : "";
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (command == "swap" && count == 5) return swap(values[2], values[3], std::atof(values[4]));
  if (command == "ambush" && count == 3) return ambush(std::atof(values[2]));
  if (command == "overwrite" && count == 3) return overwrite(std::atof(values[2]));
  if (command == "descriptors") return list_descriptors();
  if (command == "try" && count == 3) return attempt(values[2]);
  std::fprintf(stderr,
               "usage: guest swap A B SECONDS | ambush SECONDS | overwrite SECONDS | descriptors | "
               "try WHAT\n");
  return 2;
}
