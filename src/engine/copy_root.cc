#include "engine/copy_root.h"

#include <grp.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"
#include "engine/container_volumes.h"
#include "engine/ending.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "isolation/mounts/parent_mounts.h"
#include "oci/decode.h"
#include "runtime/record.h"
#include "storage/snapshot.h"
#include "storage/snapshotter.h"
#include "storage/store.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/root_dir.h"

namespace bulkhead::engine {
namespace {

Result<bool> is_own_namespace(const PidFd& process, const char* kind) {
  const std::string theirs = "/proc/" + std::to_string(process.pid().value()) + "/ns/" + kind;
  const std::string ours = std::string("/proc/self/ns/") + kind;
  struct stat one{};
  struct stat other{};
  if (::stat(theirs.c_str(), &one) != 0 || ::stat(ours.c_str(), &other) != 0)
    return std::unexpected(Error(SysError{"stat", errno, kind}));
  return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

// As whose root the files that we make belong to whom they should.
Result<void> become_root() {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
    return std::unexpected(Error(SysError{"setresuid", errno}));
  return {};
}

// Only binds lead to files that are there while the container is not.
oci::Spec with_binds_alone(const oci::Spec& whole) {
  oci::Spec spec;
  spec.root = whole.root;
  spec.linux_.uid_mappings = whole.linux_.uid_mappings;
  spec.linux_.gid_mappings = whole.linux_.gid_mappings;
  for (const oci::Namespace& space : whole.linux_.namespaces)
    if (space.type == oci::NamespaceType::kUser || space.type == oci::NamespaceType::kMount)
      spec.linux_.namespaces.push_back(space);
  for (const oci::Mount& mount : whole.mounts) {
    const bool bind =
        mount.type == "bind" || std::ranges::any_of(mount.options, [](const std::string& option) {
          return option == "bind" || option == "rbind";
        });
    if (bind) spec.mounts.push_back(mount);
  }
  return spec;
}

// For as long as it lives, what this process makes belongs to the container's root.
class AsContainerRoot {
 public:
  AsContainerRoot(HostUid uid, HostGid gid) {
    (void)::setfsgid(gid.value());
    (void)::setfsuid(uid.value());
  }
  ~AsContainerRoot() {
    (void)::setfsuid(0);
    (void)::setfsgid(0);
  }
  AsContainerRoot(const AsContainerRoot&) = delete;
  AsContainerRoot& operator=(const AsContainerRoot&) = delete;
};

// The mount becomes the root directory, and nothing else is left in the namespace.
Result<void> make_root_of(int tree) {
  if (::fchdir(tree) != 0) return std::unexpected(Error(SysError{"fchdir", errno}));
  if (::syscall(SYS_pivot_root, ".", ".") != 0)
    return std::unexpected(Error(SysError{"pivot_root", errno}));
  if (::umount2(".", MNT_DETACH) != 0) return std::unexpected(Error(SysError{"umount2", errno}));
  if (::chdir("/") != 0) return std::unexpected(Error(SysError{"chdir", errno}));
  return {};
}

}  // namespace

Result<ContainerRoot> ContainerRoot::take(const StoreOptions& options,
                                          const std::string& name_or_id) {
  constexpr timespec kMoment{0, 20'000'000};
  // It may be on its way from one to the other, or in the hands of another command.
  for (int tries = 0; tries < 500; ++tries) {
    TRY_ASSIGN(ListedContainer container, find(options, name_or_id));
    const bool live = runs(container.status);
    ContainerRoot root(std::move(container));
    TRY_ASSIGN(const bool held, live ? root.hold_running(options) : root.hold_stopped(options));
    if (held) return root;
    (void)::nanosleep(&kMoment, nullptr);
  }
  return fail(ErrorKind::kState,
              "container " + quoted(name_or_id) + " is in the hands of another command",
              "try again when it has been started, or copied from or to");
}

Result<bool> ContainerRoot::hold_running(const StoreOptions& options) {
  const auto directory = runtime::ContainerDirectory::open(state_root_of(options), container_.id);
  if (!directory) return false;
  TRY_ASSIGN(const auto init, directory->first_process());
  if (!init) return false;
  auto process = runtime::ContainerDirectory::hold(*init);
  if (!process) return false;
  init_ = *std::move(process);
  const auto shares_user = is_own_namespace(init_, "user");
  const auto shares_mounts = is_own_namespace(init_, "mnt");
  if (init_.has_exited()) return false;
  if (!shares_user) return std::unexpected(shares_user.error());
  if (!shares_mounts) return std::unexpected(shares_mounts.error());
  if (*shares_mounts)
    return fail(ErrorKind::kInternal,
                "container " + quoted(container_.name) + " has no mounts of its own");
  namespaces_ = CLONE_NEWNS | (*shares_user ? 0 : CLONE_NEWUSER);
  return true;
}

Result<bool> ContainerRoot::hold_stopped(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  auto held = hold_container(store.get(), container_.id);
  if (!held && held.error().kind() == ErrorKind::kState) return false;
  if (!held) return std::unexpected(std::move(held).error());
  lock_ = *std::move(held);
  if (!container_.record)
    return fail(ErrorKind::kState,
                "container " + quoted(container_.name) + " is dead, and was never wholly made",
                "remove it: bulkhead rm --dead");
  // It may have run and ended in between.
  TRY_ASSIGN(const LifeRecord life, read_life_record(lock_.get()));
  if (life.status == LifeStatus::kRunning) {
    lock_.reset();
    return false;
  }
  TRY(make_mounts(options));
  return true;
}

Result<void> ContainerRoot::make_mounts(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const std::string written, read_file_at(lock_.get(), kConfigFile, 16 << 20));
  TRY_ASSIGN(const oci::Spec whole, oci::decode_spec(written));
  TRY_ASSIGN(const StorageRecord kept,
             read_storage_record(store.get(), container_path(container_.id)));
  if (kept.limit && kept.limit->method != storage::LimitMethod::kProjectQuota)
    return fail(ErrorKind::kUnsupported,
                "container " + quoted(container_.name) +
                    " does not run, and what it wrote lies in " + describe(kept.limit->method),
                "copy while it runs");
  const oci::Spec spec = with_binds_alone(whole);
  isolation::Request request{.spec = spec, .container_id = container_.id, .bundle = store.path()};
  request.root_from_parent = true;
  // What a container has put into a volume is not followed by a path of the host.
  std::vector<isolation::HandedMount> handed;
  TRY(add_volume_mounts(store, container_.record->mounts, handed));
  for (const isolation::HandedMount& mount : handed)
    request.handed_mounts[mount.destination] = mount.mount.get();
  TRY_ASSIGN(const isolation::HostFacts host, isolation::gather_host_facts());
  TRY_ASSIGN(isolation::MountsPlan plan, isolation::describe_mounts(request, host));
  if (!spec.linux_.uid_mappings.empty()) {
    TRY_ASSIGN(user_namespace_,
               isolation::make_user_namespace(spec.linux_.uid_mappings, spec.linux_.gid_mappings));
    first_uid_ = HostUid(spec.linux_.uid_mappings.front().host_id);
    first_gid_ = HostGid(spec.linux_.gid_mappings.front().host_id);
  }

  storage::Snapshot snapshot;
  snapshot.store = store.get();
  snapshot.layers = container_.record->layers;
  snapshot.container = container_path(container_.id);
  snapshot.form = kept.layers;
  TRY(storage::snapshotter_of(snapshot.form).prepare(store, snapshot.layers));
  TRY_ASSIGN(storage::MountedSnapshot mounted,
             storage::mount_snapshot(snapshot, user_namespace_.get()));
  root_ = std::move(mounted.mount);
  layers_ = std::move(mounted.layers);
  if (whole.root && whole.root->readonly) {
    MountAttributes attributes;
    attributes.set = MOUNT_ATTR_RDONLY;
    TRY(set_attributes(root_.get(), "", Recursion::kThisMount, attributes));
  }

  isolation::ParentMountsPlan binds;
  for (isolation::MountPlan& mount : plan.mounts)
    if (mount.method == isolation::MountMethod::kBind ||
        mount.method == isolation::MountMethod::kFromParent)
      binds.mounts.push_back(std::move(mount));
  TRY_ASSIGN(std::vector<Fd> trees, isolation::make_parent_mounts(binds, user_namespace_.get()));
  for (std::size_t i = 0; i < trees.size(); ++i)
    volumes_.push_back({std::move(trees[i]), std::move(binds.mounts[i])});
  // Those in memory stay for as long as we have them.
  return release_memory_volumes(options, store, container_.id);
}

// A place that is missing is made, as the start would make it.
Result<void> ContainerRoot::attach_volumes() const {
  const RootDir top(root_.get());
  for (const Volume& volume : volumes_) {
    const char* const path = volume.plan.place.absolute.c_str();
    struct stat status{};
    if (::fstat(volume.tree.get(), &status) != 0)
      return std::unexpected(Error(SysError{"fstat", errno, path}));
    auto place = top.open(path, O_PATH);
    if (!place && place.error().error == ENOENT) {
      const AsContainerRoot identity(first_uid_, first_gid_);
      place =
          S_ISDIR(status.st_mode) ? top.make_directories(path, 0755) : top.make_file(path, 0644);
    }
    // Of a root that cannot be written to: nothing that is to be copied can be there.
    if (!place && place.error().error == EROFS) continue;
    if (!place) return std::unexpected(Error(place.error()));
    TRY(attach_mount(volume.tree.get(), place->get(), ""));
  }
  return {};
}

Result<void> ContainerRoot::enter_made() const {
  if (::unshare(CLONE_NEWNS) != 0)
    return std::unexpected(Error(SysError{"unshare(CLONE_NEWNS)", errno}));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::unexpected(Error(SysError{"mount", errno, "/"}));
  // Anywhere: the namespace is ours alone, and the place goes with the rest of the host.
  TRY(attach_mount(root_.get(), AT_FDCWD, "/proc"));
  TRY(attach_volumes());
  TRY(make_root_of(root_.get()));
  if (!user_namespace_) return {};
  if (::setns(user_namespace_.get(), CLONE_NEWUSER) != 0)
    return std::unexpected(Error(SysError{"setns", errno, "user"}));
  return {};
}

Result<void> ContainerRoot::enter() const {
  if (::setgroups(0, nullptr) != 0) return std::unexpected(Error(SysError{"setgroups", errno}));
  if (init_) {
    if (::setns(init_.get(), namespaces_) != 0)
      return std::unexpected(Error(SysError{"setns", errno}));
    if (::chdir("/") != 0) return std::unexpected(Error(SysError{"chdir", errno}));
  } else {
    TRY(enter_made());
  }
  return become_root();
}

}  // namespace bulkhead::engine
