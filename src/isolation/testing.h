// What the layers' unit tests share: a forked child to try a layer in, a kernel that refuses one
// system call, and a stand-in for the parent's half. Included by tests only.
#pragma once

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "isolation/child_context.h"
#include "sys/error.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace bulkhead::isolation::testing {

inline constexpr int kChildSaidYes = 0;
inline constexpr int kChildSaidNo = 1;
inline constexpr int kChildCouldNotTry = 2;

// Ends a test child whose preparation failed: neither yes nor no, and in_child reports it as false
// with the reason on standard error.
[[noreturn]] inline void could_not_prepare(const char* what) {
  std::fprintf(stderr, "test child: %s: %s\n", what, errno_text(errno));
  ::_exit(kChildCouldNotTry);
}

// Of a body's answer: bool as it is; a SysResult is true when it holds a value, and its error goes
// to standard error.
template <class Answer>
bool answer_of(const Answer& answer) {
  if constexpr (std::is_same_v<Answer, bool>) {
    return answer;
  } else {
    if (!answer)
      std::fprintf(stderr, "test child: %s %s: %s\n", answer.error().call,
                   answer.error().subject == nullptr ? "" : answer.error().subject,
                   errno_text(answer.error().error));
    return static_cast<bool>(answer);
  }
}

inline bool said_yes(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return false;
  if (WIFSIGNALED(status))
    std::fprintf(stderr, "test child: killed by signal %d\n", WTERMSIG(status));
  return WIFEXITED(status) && WEXITSTATUS(status) == kChildSaidYes;
}

// Runs `body` in a forked child of this process and relays its answer (bool or SysResult<void>).
// A child that dies by a signal has answered false.
template <class Body>
bool in_child(Body&& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) ::_exit(answer_of(std::forward<Body>(body)()) ? kChildSaidYes : kChildSaidNo);
  return said_yes(child);
}

// Where the ids of in_child_as_root_of_user_namespace lie on the host when this test is privileged.
inline constexpr std::uint32_t kTestHostIdBase = 700'000'000;
inline constexpr std::uint32_t kTestIdCount = 65'536;

// As in_child, with the child root of a new user namespace (and of the further namespaces in
// `flags`, CLONE_NEW*): ids 0 to 65535 map to kTestHostIdBase upwards when this process is root,
// else 0 alone to this process's own id.
template <class Body>
bool in_child_as_root_of_user_namespace(Body&& body, int flags = 0) {
  int ready[2];
  int mapped[2];
  if (::pipe2(ready, O_CLOEXEC) != 0 || ::pipe2(mapped, O_CLOEXEC) != 0) return false;
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) {
    ::close(mapped[1]);
    char byte = 0;
    if (::unshare(CLONE_NEWUSER | flags) != 0) could_not_prepare("unshare(CLONE_NEWUSER)");
    if (::write(ready[1], &byte, 1) != 1) could_not_prepare("write");
    if (::read(mapped[0], &byte, 1) != 1)
      could_not_prepare("the parent could not write the id maps");
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) could_not_prepare("becoming root");
    ::_exit(answer_of(std::forward<Body>(body)()) ? kChildSaidYes : kChildSaidNo);
  }
  ::close(ready[1]);
  ::close(mapped[0]);
  char byte = 0;
  if (::read(ready[0], &byte, 1) == 1) {
    const std::string proc = "/proc/" + std::to_string(child) + "/";
    const auto map_of = [&](std::uint32_t own) {
      return uid == 0 ? "0 " + std::to_string(kTestHostIdBase) + " " + std::to_string(kTestIdCount)
                      : "0 " + std::to_string(own) + " 1";
    };
    bool done = uid == 0 || write_file_at(AT_FDCWD, (proc + "setgroups").c_str(), "deny");
    done = done && write_file_at(AT_FDCWD, (proc + "uid_map").c_str(), map_of(uid)) &&
           write_file_at(AT_FDCWD, (proc + "gid_map").c_str(), map_of(gid));
    if (done && ::write(mapped[1], &byte, 1) != 1) done = false;
  }
  ::close(mapped[1]);
  ::close(ready[0]);
  return said_yes(child);
}

// In a test child: from now on the kernel answers the call `number` with `error`, when its argument
// `index` has the low 32 bits `value`.
inline void kernel_refuses_argument(long number, unsigned index, std::uint32_t value, int error) {
#if defined(__x86_64__)
  constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "kernel_refuses: add this architecture"
#endif
  // Both architectures are little-endian: the low half of an argument comes first.
  const auto argument =
      static_cast<std::uint32_t>(offsetof(struct seccomp_data, args) + 8U * index);
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(error) & 0xFFFFU)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof program / sizeof program[0], program};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &filter) == 0) return;
  // Without CAP_SYS_ADMIN only no-new-privileges buys a filter.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &filter) != 0)
    could_not_prepare("installing the refusing filter");
}

// In a test child: from now on the kernel answers the call `number` with `error`.
inline void kernel_refuses(long number, int error) {
#if defined(__x86_64__)
  constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(error) & 0xFFFFU)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof program / sizeof program[0], program};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &filter) == 0) return;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &filter) != 0)
    could_not_prepare("installing the refusing filter");
}

// The parent's half without a parent: every wait returns at once. Must outlive the link.
struct ParentStandIn {
  std::span<const int> cgroup_files;  // what wait_for_cgroups gives
  std::span<const int> mounts;        // what wait_for_mount gives, by index
  int error = 0;                      // not 0: every wait fails with it
  int descriptors_sent = 0;

  ParentLink link() {
    ParentLink link;
    link.self = this;
    link.wait_for_id_maps = [](void* self) noexcept -> SysResult<void> {
      if (of(self).error != 0) return sys_fail_with(of(self).error, "wait for the id maps");
      return {};
    };
    link.wait_for_cgroups = [](void* self) noexcept -> SysResult<std::span<const int>> {
      if (of(self).error != 0) return sys_fail_with(of(self).error, "wait for the cgroups");
      return of(self).cgroup_files;
    };
    link.wait_for_mount = [](void* self, std::size_t index) noexcept -> SysResult<int> {
      if (of(self).error != 0) return sys_fail_with(of(self).error, "wait for a mount");
      if (index >= of(self).mounts.size()) return sys_fail_with(EBADF, "wait for a mount");
      return of(self).mounts[index];
    };
    link.send_descriptor = [](void* self, std::string_view, int) noexcept -> SysResult<void> {
      if (of(self).error != 0) return sys_fail_with(of(self).error, "send a descriptor");
      ++of(self).descriptors_sent;
      return {};
    };
    return link;
  }

 private:
  static ParentStandIn& of(void* self) { return *static_cast<ParentStandIn*>(self); }
};

// A ChildContext as a layer finds it: procfs open, the root not set yet, no descriptors to keep.
// Make it inside the test child. `child` converts to the context that apply and verify take.
struct TestChild {
  ParentStandIn parent;
  Fd proc;
  ChildContext context;

  TestChild() : proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (!proc) could_not_prepare("open /proc");
    context.parent = parent.link();
    context.proc = proc.get();
  }
  TestChild(const TestChild&) = delete;
  TestChild& operator=(const TestChild&) = delete;
  operator ChildContext&() { return context; }  // NOLINT(google-explicit-constructor)
};

// In a test child: a mount namespace of its own from which nothing propagates to the host.
inline void enter_private_mount_namespace() {
  if (::unshare(CLONE_NEWNS) != 0) could_not_prepare("unshare(CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    could_not_prepare("making mounts private");
}

inline bool running_as_root() { return ::geteuid() == 0; }

}  // namespace bulkhead::isolation::testing

// First line of a test that needs privilege on the host; prints its reason as a skip.
#define SKIP_UNLESS_ROOT() \
  if (!::bulkhead::isolation::testing::running_as_root()) GTEST_SKIP() << "needs root"
