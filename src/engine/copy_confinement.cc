#include "engine/copy_confinement.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "isolation/capabilities/capabilities.h"
#include "isolation/enter_layer.h"
#include "isolation/no_new_privileges/no_new_privileges.h"
#include "isolation/seccomp/seccomp.h"
#include "sys/file.h"
#include "sys/resource_limit.h"

namespace bulkhead::engine {
namespace {

const std::vector<std::string> kCalls = {
    // memory and itself
    "read", "write", "brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "futex", "exit",
    "exit_group", "rt_sigreturn", "close", "poll", "ppoll", "getrandom", "clock_gettime",
    "gettimeofday", "fcntl", "geteuid", "getegid",
    // files, by descriptor
    "openat", "openat2", "newfstatat", "fstat", "lseek", "pread64", "ftruncate", "mkdirat",
    "mknodat", "symlinkat", "linkat", "unlinkat", "readlinkat", "fchown", "fchownat", "fchmod",
    "fsetxattr", "fgetxattr", "flistxattr", "utimensat", "getdents64", "fstatfs"};
// chown, chmod and setuid bits of files that belong to others; reading through modes; file
// capabilities. No CAP_MKNOD, no CAP_SYS_ADMIN, no CAP_SYS_CHROOT.
const std::vector<std::string> kOwningFiles = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER",
                                               "CAP_FSETID", "CAP_SETFCAP"};

constexpr rlim_t kMostMemory = rlim_t{1} << 30;
constexpr rlim_t kMostFiles = 1024;

oci::Spec worker_spec() {
  oci::Spec spec;
  oci::Process process;
  process.no_new_privileges = true;
  process.capabilities.emplace();
  process.capabilities->bounding = kOwningFiles;
  process.capabilities->permitted = kOwningFiles;
  process.capabilities->effective = kOwningFiles;
  oci::Seccomp seccomp;
  seccomp.default_action = "SCMP_ACT_KILL_PROCESS";
  oci::SeccompRule allowed;
  allowed.action = "SCMP_ACT_ALLOW";
  allowed.names = kCalls;
  seccomp.syscalls.push_back(std::move(allowed));
  spec.process = std::move(process);
  // As of a user namespace of its own, in which every capability is held, whatever the host's root has.
  spec.linux_.namespaces.push_back({oci::NamespaceType::kUser, {}});
  spec.linux_.seccomp = std::move(seccomp);
  return spec;
}

}  // namespace

Result<CopyConfinement> CopyConfinement::prepare() {
  TRY_ASSIGN(isolation::HostFacts host, isolation::gather_host_facts());
  TRY_ASSIGN(Fd proc, open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY));
  return CopyConfinement(std::move(host), std::move(proc));
}

Result<void> CopyConfinement::enter(unsigned first_unused) && {
  const oci::Spec spec = worker_spec();
  const isolation::Request request{.spec = spec, .container_id = "copy", .bundle = "/"};
  isolation::ChildContext child;
  child.proc = proc_.get();
  TRY(lower_limit(RLIMIT_AS, "RLIMIT_AS", kMostMemory));
  TRY(lower_limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  TRY(lower_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", kMostFiles));
  TRY(isolation::enter_and_verify_layer<isolation::Capabilities>(request, host_, child));
  TRY(isolation::enter_and_verify_layer<isolation::NoNewPrivileges>(request, host_, child));
  proc_.reset();
  child.proc = -1;
  if (::close_range(first_unused, ~0U, 0) != 0)
    return std::unexpected(Error(SysError{"close_range", errno}));
  return isolation::enter_layer<isolation::Seccomp>(request, host_, child);
}

}  // namespace bulkhead::engine
