#include "cli/unpack/erofs_writer.h"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "isolation/capabilities/capabilities.h"
#include "isolation/enter_layer.h"
#include "isolation/no_new_privileges/no_new_privileges.h"
#include "isolation/seccomp/seccomp.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/resource_limit.h"

namespace bulkhead::cli {
namespace {

const std::vector<std::string> kReading = {
    "CAP_DAC_READ_SEARCH",
    "CAP_SYS_ADMIN",
};
// Reading a tree, writing a file, and what the loader and the C library do at a start.
const std::vector<std::string> kCalls = {
    "access",
    "arch_prctl",
    "brk",
    "chdir",
    "clock_gettime",
    "close",
    "copy_file_range",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "gettid",
    "gettimeofday",
    "getuid",
    "getxattr",
    "lgetxattr",
    "listxattr",
    "llistxattr",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "open",
    "openat",
    "pread64",
    "preadv",
    "prlimit64",
    "pwrite64",
    "pwritev",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sendfile",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "stat",
    "statfs",
    "statx",
    "sysinfo",
    "time",
    "umask",
    "uname",
    "unlink",
    "write",
    "writev",
};
constexpr std::uint64_t kCloneThread = 0x00010000;
constexpr rlim_t kMostMemory = rlim_t{2} << 30;
// Where programs and their libraries lie; links ("lib -> usr/lib") are made again as links.
constexpr const char* kProgramDirectories[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64"};

oci::Spec writer_spec() {
  oci::Spec spec;
  oci::Process process;
  process.no_new_privileges = true;
  process.capabilities.emplace();
  process.capabilities->bounding = kReading;
  process.capabilities->permitted = kReading;
  process.capabilities->effective = kReading;
  oci::Seccomp seccomp;
  // An answer that programs understand: what a newer one would rather use, it does without.
  seccomp.default_action = "SCMP_ACT_ERRNO";
  seccomp.default_errno_ret = ENOSYS;
  seccomp.syscalls.push_back({.names = kCalls, .action = "SCMP_ACT_ALLOW"});
  // Threads, but no processes.
  seccomp.syscalls.push_back({.names = {"clone"},
                              .action = "SCMP_ACT_ALLOW",
                              .args = {{.index = 0,
                                        .value = kCloneThread,
                                        .value_two = kCloneThread,
                                        .op = "SCMP_CMP_MASKED_EQ"}}});
  seccomp.syscalls.push_back({.names = {"ioctl"}, .action = "SCMP_ACT_ERRNO", .errno_ret = ENOTTY});
  spec.process = std::move(process);
  spec.linux_.seccomp = std::move(seccomp);
  return spec;
}

Result<void> attach_beneath(int root, const char* name, int tree) {
  if (::mkdirat(root, name, 0755) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, name}));
  TRY(attach_mount(tree, root, name));
  return {};
}

// Beneath `root`: the host's programs, as they are.
Result<void> show_programs(int root) {
  for (const char* const name : kProgramDirectories) {
    const std::string path = std::string("/") + name;
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) continue;
    if (S_ISLNK(status.st_mode)) {
      char target[256];
      const ssize_t size = ::readlink(path.c_str(), target, sizeof target - 1);
      if (size <= 0) return std::unexpected(Error(SysError{"readlink", errno, name}));
      target[size] = '\0';
      if (::symlinkat(target, root, name) != 0)
        return std::unexpected(Error(SysError{"symlink", errno, name}));
      continue;
    }
    TRY_ASSIGN(const Fd tree,
               clone_tree_with(AT_FDCWD, path.c_str(), Recursion::kWholeTree,
                               {MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV}));
    TRY(attach_beneath(root, name, tree.get()));
  }
  return {};
}

// The process's root becomes a tmpfs with the programs, the layer and the output.
Result<void> enter_root(int layer, int output) {
  constexpr std::uint64_t kHarmless = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  TRY_ASSIGN(const Fd layer_tree,
             clone_tree_with(layer, "", Recursion::kThisMount, {MOUNT_ATTR_RDONLY | kHarmless}));
  TRY_ASSIGN(const Fd output_tree, clone_tree_with(output, "", Recursion::kThisMount, {kHarmless}));
  // Into the new namespace comes the working directory, and no other descriptor of the old one.
  if (::fchdir(output) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) != 0)
    return std::unexpected(Error(SysError{"unshare", errno}));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::unexpected(Error(SysError{"mount(MS_PRIVATE)", errno}));
  TRY_ASSIGN(const Fd tmpfs, open_file_system("tmpfs"));
  TRY(set_parameter(tmpfs.get(), "size", "64k"));
  TRY(set_parameter(tmpfs.get(), "mode", "0755"));
  TRY_ASSIGN(const Fd root, create_mount(tmpfs.get(), kHarmless, "tmpfs"));
  // On the output directory of the host's tree, which nobody needs there any more.
  TRY(attach_mount(root.get(), AT_FDCWD, "."));
  TRY(show_programs(root.get()));
  TRY(attach_beneath(root.get(), storage::kWriterLayer + 1, layer_tree.get()));
  TRY(attach_beneath(root.get(), storage::kWriterOutput + 1, output_tree.get()));
  // What it gathers in a temporary file first may become as large as the layer.
  if (::symlinkat(storage::kWriterOutput, root.get(), "tmp") != 0)
    return std::unexpected(Error(SysError{"symlink", errno, "tmp"}));
  if (::fchdir(root.get()) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
  if (::syscall(SYS_pivot_root, ".", ".") != 0)
    return std::unexpected(Error(SysError{"pivot_root", errno}));
  if (::umount2(".", MNT_DETACH) != 0) return std::unexpected(Error(SysError{"umount", errno}));
  if (::chdir("/") != 0) return std::unexpected(Error(SysError{"chdir", errno}));
  return {};
}

}  // namespace

Result<void> LayeredErofsWriter::enter(int layer, int output) {
  const oci::Spec spec = writer_spec();
  const isolation::Request request{.spec = spec, .container_id = "erofs", .bundle = "/"};
  isolation::ChildContext child;
  const Fd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  child.proc = proc.get();
  TRY(enter_root(layer, output));
  if (::setgroups(0, nullptr) != 0) return std::unexpected(Error(SysError{"setgroups", errno}));
  TRY(lower_limit(RLIMIT_AS, "RLIMIT_AS", kMostMemory));
  TRY(lower_limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  TRY(lower_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 1024));
  TRY(enter_layer<isolation::Capabilities>(request, host_, child));
  TRY(enter_layer<isolation::NoNewPrivileges>(request, host_, child));
  child.proc = -1;
  return enter_layer<isolation::Seccomp>(request, host_, child);
}

}  // namespace bulkhead::cli
