// The least that a container's start can cost on this kernel: the namespaces of the engine's spec,
// a group in every cgroup hierarchy, pivot_root, /proc, execve, wait, removal of the groups; and
// nothing else: no configuration is read, no limit set, nothing masked, filtered or verified.
//
//   raw_bound ROOT V2-DIRECTORY|- V1-DIRECTORY... -- COMMAND [ARGUMENT...]
//
// Order matters for what it measures: a single-threaded child that writes `0` to each `tasks` file
// avoids the RCU wait that `cgroup.procs` costs after idle, and the cgroup namespace comes after
// the attach, so that its root is the container's own group.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kMostHierarchies = 32;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  ::_exit(125);
}

int open_or_die(int directory, const char* path, int flags) {
  const int file = ::openat(directory, path, flags | O_CLOEXEC);
  if (file < 0) die(path);
  return file;
}

// A cpuset takes no process before it has processors and memory nodes.
void copy_from_parent(int parent, int group, const char* name) {
  const int source = ::openat(parent, name, O_RDONLY | O_CLOEXEC);
  if (source < 0) return;  // another hierarchy
  char text[256];
  const ssize_t size = ::read(source, text, sizeof text);
  const int target = open_or_die(group, name, O_WRONLY);
  if (size <= 0 || ::write(target, text, static_cast<std::size_t>(size)) != size) die(name);
  ::close(source);
  ::close(target);
}

[[noreturn]] void child(const char* root, const int* tasks, int count, char** command) {
  for (int index = 0; index < count; ++index)
    if (::write(tasks[index], "0", 1) != 1) die("write to tasks");
  if (::unshare(CLONE_NEWCGROUP) != 0) die("unshare");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die("mount private");
  if (::mount(root, root, nullptr, MS_BIND | MS_REC, nullptr) != 0) die("bind the root");
  if (::chdir(root) != 0) die("chdir");
  if (::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    die("mount /proc");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) die("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) die("umount2");
  ::execv(command[0], command);
  die("execv");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: raw_bound ROOT V2|- V1... -- COMMAND...\n", stderr);
    return 125;
  }
  const char* root = argv[1];
  const bool unified = std::strcmp(argv[2], "-") != 0;
  char name[32];
  std::snprintf(name, sizeof name, "raw-bound-%d", static_cast<int>(::getpid()));

  int parents[kMostHierarchies];
  int tasks[kMostHierarchies];
  int count = 0;
  int argument = 3;
  for (; argument < argc && std::strcmp(argv[argument], "--") != 0; ++argument) {
    if (count == kMostHierarchies) return 125;
    parents[count] = open_or_die(AT_FDCWD, argv[argument], O_PATH | O_DIRECTORY);
    if (::mkdirat(parents[count], name, 0755) != 0) die("mkdirat");
    const int group = open_or_die(parents[count], name, O_PATH | O_DIRECTORY);
    if (std::strstr(argv[argument], "cpuset") != nullptr) {
      copy_from_parent(parents[count], group, "cpuset.cpus");
      copy_from_parent(parents[count], group, "cpuset.mems");
    }
    tasks[count] = open_or_die(group, "tasks", O_WRONLY);
    ::close(group);
    ++count;
  }
  if (argument + 1 >= argc) return 125;

  clone_args clone = {};
  clone.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  clone.exit_signal = SIGCHLD;
  int unified_parent = -1;
  if (unified) {
    unified_parent = open_or_die(AT_FDCWD, argv[2], O_PATH | O_DIRECTORY);
    if (::mkdirat(unified_parent, name, 0755) != 0) die("mkdirat");
    clone.flags |= CLONE_INTO_CGROUP;
    clone.cgroup = static_cast<std::uint64_t>(open_or_die(unified_parent, name, O_RDONLY));
  }
  const long pid = ::syscall(SYS_clone3, &clone, sizeof clone);
  if (pid < 0) die("clone3");
  if (pid == 0) child(root, tasks, count, argv + argument + 1);

  int status = 0;
  if (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0) die("waitpid");
  for (int index = 0; index < count; ++index)
    if (::unlinkat(parents[index], name, AT_REMOVEDIR) != 0) die("rmdir");
  if (unified && ::unlinkat(unified_parent, name, AT_REMOVEDIR) != 0) die("rmdir");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
