#include "cli/registry/confinement.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

#include "isolation/capabilities/capabilities.h"
#include "isolation/enter_layer.h"
#include "isolation/identity/identity.h"
#include "isolation/landlock/landlock.h"
#include "isolation/no_new_privileges/no_new_privileges.h"
#include "isolation/seccomp/seccomp.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/resource_limit.h"

namespace bulkhead::cli {
namespace {

const std::vector<std::string> kSpeaking = {
    "read",       "write",         "close",        "brk",          "mmap",
    "munmap",     "mremap",        "madvise",      "mprotect",     "futex",
    "exit",       "exit_group",    "rt_sigreturn", "rt_sigaction", "rt_sigprocmask",
    "getrandom",  "clock_gettime", "gettimeofday", "poll",         "ppoll",
    "recvmsg",    "sendmsg",       "recvfrom",     "sendto",       "getsockopt",
    "setsockopt", "getsockname",   "getpeername",  "fcntl",        "restart_syscall",
    "getpid",
};
// Bodies of uploads are read at their place.
const std::vector<std::string> kFetching = {"pread64", "readv", "writev", "nanosleep",
                                            "clock_nanosleep"};
const std::vector<std::string> kDialing = {
    "connect",  "bind",    "openat",     "newfstatat", "fstat",      "lseek",
    "readv",    "writev",  "sendmmsg",   "uname",      "sysinfo",    "access",
    "getuid",   "geteuid", "getegid",    "getgid",     "pread64",    "ioctl",
    "readlink", "gettid",  "readlinkat", "faccessat",  "faccessat2", "statx",
};
// What libraries try and live without. They are told so, in place of being killed.
const std::vector<std::string> kRefused = {"socket", "socketpair", "openat", "eventfd2", "pipe2"};

constexpr const char* kFetcherLandlock =
    R"({"mode":"best-effort","paths":[],"tcp":{"bind":[],"connect":[]},)"
    R"("scopes":["abstract-unix-sockets","signals"]})";
// Names are resolved by the C library, which loads its modules from /lib.
constexpr const char* kDialerLandlock =
    R"({"mode":"best-effort","paths":[)"
    R"({"path":"/etc","access":["read"],"optional":true},)"
    R"({"path":"/lib","access":["read","execute"],"optional":true},)"
    R"({"path":"/lib64","access":["read","execute"],"optional":true},)"
    R"({"path":"/usr/lib","access":["read","execute"],"optional":true},)"
    R"({"path":"/usr/lib64","access":["read","execute"],"optional":true},)"
    R"({"path":"/usr/share","access":["read"],"optional":true},)"
    R"({"path":"/run/systemd/resolve","access":["read"],"optional":true},)"
    R"({"path":"/run/resolvconf","access":["read"],"optional":true},)"
    R"({"path":"/run/NetworkManager","access":["read"],"optional":true}],)"
    R"("tcp":{"bind":[]},"scopes":["abstract-unix-sockets","signals"]})";

constexpr rlim_t kMostMemory = rlim_t{1} << 30;

// Between what distributions give to users and services (up to 65535) and to containers of users
// (/etc/subuid, from 100000): 34,000 ids that no account has. Two workers share one only by chance,
// and then neither can trace the other, because neither is dumpable.
HostUid own_user() { return HostUid(65'537 + static_cast<std::uint32_t>(::getpid()) % 34'000); }

oci::SeccompRule allow(std::vector<std::string> names) {
  oci::SeccompRule rule;
  rule.action = "SCMP_ACT_ALLOW";
  rule.names = std::move(names);
  return rule;
}

oci::SeccompRule allow_sockets_of(std::uint64_t family) {
  oci::SeccompRule rule = allow({"socket"});
  rule.args.push_back({.index = 0, .value = family, .op = "SCMP_CMP_EQ"});
  return rule;
}

oci::Seccomp profile_of(NetworkWorker worker) {
  oci::Seccomp seccomp;
  seccomp.default_action = "SCMP_ACT_KILL_PROCESS";
  seccomp.syscalls.push_back(allow(kSpeaking));
  oci::SeccompRule refused;
  refused.action = "SCMP_ACT_ERRNO";
  refused.errno_ret = EACCES;
  if (worker == NetworkWorker::kFetcher) {
    seccomp.syscalls.push_back(allow(kFetching));
    refused.names = kRefused;
    // Before 8.0 libcurl connects sockets that it was told are connected. The call is not made, and
    // the answer has it wait for what is true already.
    oci::SeccompRule connected;
    connected.action = "SCMP_ACT_ERRNO";
    connected.errno_ret = EINPROGRESS;
    connected.names = {"connect"};
    seccomp.syscalls.push_back(std::move(connected));
  } else {
    seccomp.syscalls.push_back(allow(kDialing));
    // AF_INET, AF_INET6, and AF_NETLINK, by which the C library learns of the own addresses.
    for (const std::uint64_t family : {2, 10, 16})
      seccomp.syscalls.push_back(allow_sockets_of(family));
    // Equality is looked at first: these are the others.
    refused.names = {"socket"};
    refused.args.push_back({.index = 0, .value = 2, .op = "SCMP_CMP_NE"});
  }
  seccomp.syscalls.push_back(std::move(refused));
  return seccomp;
}

oci::Spec spec_of(NetworkWorker worker) {
  oci::Spec spec;
  oci::Process process;
  process.no_new_privileges = true;
  process.capabilities.emplace();
  process.user.uid = ContainerUid(own_user().value());
  process.user.gid = ContainerGid(own_user().value());
  process.user.umask = 077;
  spec.process = std::move(process);
  spec.linux_.seccomp = profile_of(worker);
  spec.annotations.emplace(isolation::Landlock::kAnnotation,
                           worker == NetworkWorker::kFetcher ? kFetcherLandlock : kDialerLandlock);
  return spec;
}

class Locksmith {
 public:
  Locksmith(const isolation::Request& request, const isolation::HostFacts& host)
      : request_(request), host_(host), proc_(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    child_.proc = proc_.get();
  }

  template <class Layer>
  Result<void> lock() {
    return isolation::enter_layer<Layer>(request_, host_, child_);
  }
  template <class Layer>
  Result<void> lock_and_verify() {
    return isolation::enter_and_verify_layer<Layer>(request_, host_, child_);
  }
  void close_proc() {
    proc_.reset();
    child_.proc = -1;
  }

 private:
  const isolation::Request& request_;
  const isolation::HostFacts& host_;
  isolation::ChildContext child_;
  Fd proc_;
};

Result<void> leave_the_host(NetworkWorker worker) {
  const bool fetcher = worker == NetworkWorker::kFetcher;
  if (::unshare(CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS | (fetcher ? CLONE_NEWNET : 0)) != 0)
    return std::unexpected(Error(SysError{"unshare", errno}));
  if (!fetcher) return {};
  // An empty file system that has no name anywhere.
  TRY_ASSIGN(const Fd configuration, open_file_system("tmpfs"));
  TRY(set_parameter(configuration.get(), "size", "4k"));
  TRY(set_parameter(configuration.get(), "mode", "0"));
  TRY_ASSIGN(const Fd empty,
             create_mount(configuration.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, "tmpfs"));
  if (::fchdir(empty.get()) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
  if (::chroot(".") != 0) return std::unexpected(Error(SysError{"chroot", errno}));
  return {};
}

}  // namespace

Result<void> confine(NetworkWorker worker) {
  auto host = isolation::gather_host_facts();
  if (!host) return std::unexpected(std::move(host).error());
  const oci::Spec spec = spec_of(worker);
  const isolation::Request request{.spec = spec, .container_id = "registry", .bundle = "/"};
  Locksmith locksmith(request, *host);
  TRY(lower_limit(RLIMIT_AS, "RLIMIT_AS", kMostMemory));
  TRY(lower_limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  TRY(lower_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 64));
  TRY(lower_limit(RLIMIT_FSIZE, "RLIMIT_FSIZE", 0));
  if (::geteuid() == 0) {
    TRY(leave_the_host(worker));
    TRY(locksmith.lock_and_verify<isolation::Identity>());
    TRY(locksmith.lock_and_verify<isolation::Capabilities>());
  }
  // Whoever wanted something fetched is gone. A change of user id clears it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    return std::unexpected(Error(SysError{"prctl(PR_SET_PDEATHSIG)", errno}));
  // Neither the memory nor the descriptors can be read by others of the same user.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return std::unexpected(Error(SysError{"prctl(PR_SET_DUMPABLE)", errno}));
  TRY(locksmith.lock_and_verify<isolation::NoNewPrivileges>());
  // Landlock's apply ends with its verify; seccomp's verify would need what it forbids.
  locksmith.close_proc();
  TRY(locksmith.lock<isolation::Landlock>());
  TRY(locksmith.lock<isolation::Seccomp>());
  return {};
}

}  // namespace bulkhead::cli
