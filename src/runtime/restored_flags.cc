#include "runtime/restored_flags.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "isolation/mounts/options.h"
#include "runtime/procfs.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/root_dir.h"
#include "sys/uapi.h"

namespace bulkhead::runtime {
namespace {

struct Flags {
  std::string path;
  std::uint64_t set = 0;
  Recursion recursion = Recursion::kThisMount;
};

std::vector<Flags> flags_of(const oci::Spec& spec) {
  // Those that only take something away.
  constexpr std::uint64_t kRestricting = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                         MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
  // As isolation/masked_paths has them.
  constexpr std::uint64_t kMask = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  std::vector<Flags> flags;
  if (spec.root && spec.root->readonly) flags.push_back({"/", MOUNT_ATTR_RDONLY});
  for (const oci::Mount& mount : spec.mounts) {
    const isolation::MountOptions options = isolation::parse_mount_options(mount.options);
    if ((options.set & kRestricting) != 0)
      flags.push_back({mount.destination, options.set & kRestricting});
    if ((options.recursive_set & kRestricting) != 0)
      flags.push_back(
          {mount.destination, options.recursive_set & kRestricting, Recursion::kWholeTree});
  }
  for (const std::string& path : spec.linux_.masked_paths) flags.push_back({path, kMask});
  for (const std::string& path : spec.linux_.readonly_paths)
    flags.push_back({path, MOUNT_ATTR_RDONLY});
  return flags;
}

void set_flags(RootDir root, int proc, const Flags& flags) {
  const auto place = root.open(flags.path.c_str(), O_PATH);
  if (!place) return;
  (void)set_attributes_anyhow(proc, place->get(), flags.recursion,
                              MountAttributes{.set = flags.set});
}

}  // namespace

Result<void> set_mount_flags_again(const PidFd& process, const oci::Spec& spec) {
  TRY_ASSIGN(const Fd proc, open_procfs());
  const std::vector<Flags> flags = flags_of(spec);
  const pid_t child = ::fork();
  if (child < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (child == 0) {
    // Its root becomes that of the namespace.
    if (::setns(process.get(), CLONE_NEWNS) != 0) ::_exit(errno);
    const auto root = open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
    if (!root) ::_exit(root.error().error);
    for (const Flags& entry : flags) set_flags(RootDir(root->get()), proc.get(), entry);
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return std::unexpected(Error(SysError{"entering the restored mount namespace",
                                        WIFEXITED(status) ? WEXITSTATUS(status) : EINTR}));
}

}  // namespace bulkhead::runtime
