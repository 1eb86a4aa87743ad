#include "cli/unpack/confinement.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "isolation/capabilities/capabilities.h"
#include "isolation/enter_layer.h"
#include "isolation/landlock/landlock.h"
#include "isolation/no_new_privileges/no_new_privileges.h"
#include "isolation/seccomp/seccomp.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/resource_limit.h"

namespace bulkhead::cli {
namespace {

using storage::WorkerKind;

// What a process needs that only computes between two pipes.
const std::vector<std::string> kComputing = {
    "read",    "write",     "brk",           "mmap",         "munmap",     "mremap",
    "madvise", "mprotect",  "futex",         "exit",         "exit_group", "rt_sigreturn",
    "close",   "getrandom", "clock_gettime", "gettimeofday",
};
// What the extractor does beside that: always beneath its own root, by descriptor.
const std::vector<std::string> kWritingFiles = {
    "openat",  "openat2",  "newfstatat", "fstat",     "lseek",     "ftruncate",
    "mkdirat", "mknodat",  "symlinkat",  "linkat",    "unlinkat",  "renameat2",
    "fchown",  "fchownat", "fchmod",     "fsetxattr", "utimensat", "getdents64",
    "fcntl",   "umask",    "geteuid",    "getegid",
};
// chown, chmod and setuid bits of files that belong to others; reading through modes; file
// capabilities. No CAP_MKNOD, no CAP_SYS_ADMIN.
const std::vector<std::string> kOwningFiles = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETFCAP",
};

// The extractor's path is its working directory, whatever its root is. Whiteouts are devices to it.
constexpr const char* kExtractorLandlock =
    R"({"mode":"best-effort","paths":[)"
    R"({"path":"/","access":["read","write","create","remove","refer","devices"]}],)"
    R"("tcp":{"bind":[],"connect":[]},"scopes":["abstract-unix-sockets","signals"]})";
constexpr const char* kDecompressorLandlock =
    R"({"mode":"best-effort","paths":[],"tcp":{"bind":[],"connect":[]},)"
    R"("scopes":["abstract-unix-sockets","signals"]})";
// The first that lets an entry be linked into another directory, if so told; the one before never does.
constexpr int kLeastAbiOfExtractor = 2;

constexpr rlim_t kMostMemory = rlim_t{1} << 30;

oci::Spec worker_spec(WorkerKind kind) {
  oci::Spec spec;
  oci::Process process;
  process.no_new_privileges = true;
  process.capabilities.emplace();
  oci::Seccomp seccomp;
  seccomp.default_action = "SCMP_ACT_KILL_PROCESS";
  oci::SeccompRule allowed;
  allowed.action = "SCMP_ACT_ALLOW";
  allowed.names = kComputing;
  if (kind == WorkerKind::kExtractor) {
    allowed.names.insert(allowed.names.end(), kWritingFiles.begin(), kWritingFiles.end());
    process.capabilities->bounding = kOwningFiles;
    process.capabilities->permitted = kOwningFiles;
    process.capabilities->effective = kOwningFiles;
  }
  seccomp.syscalls.push_back(std::move(allowed));
  spec.process = std::move(process);
  spec.linux_.seccomp = std::move(seccomp);
  spec.annotations.emplace(isolation::Landlock::kAnnotation, kind == WorkerKind::kExtractor
                                                                 ? kExtractorLandlock
                                                                 : kDecompressorLandlock);
  return spec;
}

// The working directory as root, on a mount of its own that nobody else sees: there, a device node of
// the layer opens no device, and its programs do not run.
Result<void> enter_layer_directory() {
  MountAttributes attributes;
  attributes.set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  TRY_ASSIGN(const Fd tree, clone_tree_with(AT_FDCWD, ".", Recursion::kThisMount, attributes));
  if (::fchdir(tree.get()) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
  if (::chroot(".") != 0) return std::unexpected(Error(SysError{"chroot", errno}));
  return {};
}

Result<void> leave_the_host(WorkerKind kind) {
  // No interface, no message queue, and no mount of the host's that could still change under us.
  if (::unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS) != 0)
    return std::unexpected(Error(SysError{"unshare", errno}));
  if (kind == WorkerKind::kExtractor) TRY(enter_layer_directory());
  return {};
}

Result<void> bound_resources() {
  if (::setgroups(0, nullptr) != 0) return std::unexpected(Error(SysError{"setgroups", errno}));
  TRY(lower_limit(RLIMIT_AS, "RLIMIT_AS", kMostMemory));
  TRY(lower_limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  // 64 levels of removal and a few files.
  return lower_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", 64);
}

}  // namespace

Result<void> LayeredConfinement::enter_landlock(const isolation::Request& request, WorkerKind kind,
                                                isolation::ChildContext& child) const {
  using isolation::Landlock;
  if (kind == WorkerKind::kExtractor && host_.landlock_abi < kLeastAbiOfExtractor) return {};
  auto plan = Landlock::describe(request, host_);
  if (!plan) return std::unexpected(std::move(plan).error().within(Landlock::kName));
  if (!plan->enabled()) return {};
  for (Landlock::PathRule& rule : plan->paths) rule.path = ".";
  if (const auto applied = Landlock::apply(*plan, child); !applied)
    return std::unexpected(Error(applied.error()).within(Landlock::kName));
  // Something that is still in reach, by its descriptor, and in no worker's rules.
  const auto outside = open_at(child.proc, "uptime", O_RDONLY);
  if (!outside && outside.error().error == EACCES) return {};
  return fail(ErrorKind::kSystem, "landlock: a file that no rule names can be opened");
}

Result<void> LayeredConfinement::enter(WorkerKind kind) {
  const auto with = [this](ConfinementPart part) { return !without_.contains(part); };
  const oci::Spec spec = worker_spec(kind);
  const isolation::Request request{.spec = spec, .container_id = "unpack", .bundle = "/"};
  isolation::ChildContext child;
  Fd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  child.proc = proc.get();
  if (with(ConfinementPart::kSeparation)) TRY(leave_the_host(kind));
  TRY(bound_resources());
  if (with(ConfinementPart::kCapabilities))
    TRY(enter_layer<isolation::Capabilities>(request, host_, child));
  TRY(enter_layer<isolation::NoNewPrivileges>(request, host_, child));
  if (with(ConfinementPart::kLandlock)) TRY(enter_landlock(request, kind, child));
  proc.reset();
  child.proc = -1;
  if (!with(ConfinementPart::kSeccomp)) return {};
  return enter_layer<isolation::Seccomp>(request, host_, child);
}

}  // namespace bulkhead::cli
