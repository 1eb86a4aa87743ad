#include "runtime/checkpoint.h"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cinttypes>
#include <climits>
#include <cstdio>

#include "base/text.h"
#include "isolation/cgroup/parent.h"
#include "oci/decode.h"
#include "runtime/checkpoint_image.h"
#include "runtime/checkpointable.h"
#include "runtime/criu_common.h"
#include "runtime/criu_worker.h"
#include "runtime/record.h"
#include "sys/file.h"
#include "sys/root_dir.h"

namespace bulkhead::runtime {
namespace {

constexpr std::size_t kLargestMountinfo = 64U << 20;
constexpr const char* kLogFile = "dump.log";
constexpr int kStandardDescriptors = 3;

std::string proc_of(HostPid pid) { return "/proc/" + std::to_string(pid.value()); }

std::string link_at(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<std::size_t>(size));
}

// In a container that runs: beneath its own root.
class ResolverInside final : public DestinationResolver {
 public:
  explicit ResolverInside(int root) : root_(root) {}
  std::string resolve(const std::string& destination) const override {
    const auto file = root_.open(destination.c_str(), O_PATH);
    if (!file) return destination;
    const std::string path = link_at("/proc/self/fd/" + std::to_string(file->get()));
    return path.starts_with('/') ? path : destination;
  }

 private:
  RootDir root_;
};

// The descriptors that came from outside, and which CRIU must not look for inside.
struct StandardDescriptors {
  std::vector<std::string> names;     // for descriptors.json
  std::vector<std::string> external;  // "file[2a:77]"
};

// A file is named by its mount and inode, in hexadecimal.
std::string file_name_of(int mount, std::uint64_t inode) {
  char name[64];
  std::snprintf(name, sizeof name, "file[%x:%" PRIx64 "]", static_cast<unsigned>(mount), inode);
  return name;
}

StandardDescriptors standard_descriptors(HostPid init, const std::vector<MountEntry>& mounts) {
  StandardDescriptors found;
  for (int number = 0; number < kStandardDescriptors; ++number) {
    const std::string file = proc_of(init) + "/fd/" + std::to_string(number);
    std::string name = link_at(file);
    struct stat status{};
    const auto info =
        read_file_at(AT_FDCWD, (proc_of(init) + "/fdinfo/" + std::to_string(number)).c_str());
    if (name.starts_with('/') && info && ::stat(file.c_str(), &status) == 0) {
      int mount = -1;
      for (std::string_view line : split(*info, '\n'))
        if (line.starts_with("mnt_id:"))
          mount = parse_number<int>(trim(line.substr(7))).value_or(-1);
      const bool inside =
          std::ranges::any_of(mounts, [&](const MountEntry& entry) { return entry.id == mount; });
      if (!inside && mount >= 0) {
        name = file_name_of(mount, status.st_ino);
        if (std::ranges::find(found.external, name) == found.external.end())
          found.external.push_back(name);
      }
    }
    found.names.push_back(std::move(name));
  }
  return found;
}

// As CgroupSet::freeze() has it: what CRIU leaves frozen is thawed there.
std::string freezer_of(const std::vector<std::string>& groups) {
  std::string freezer;
  for (const std::string_view group : groups) {
    std::string_view rest = group;
    const std::string_view controllers = next_field(rest, ':');
    const std::string directory(rest);
    const auto names = split(controllers, ',');
    if (controllers.empty() && ::access((directory + "/cgroup.freeze").c_str(), F_OK) == 0)
      return directory;
    if (std::ranges::find(names, "freezer") != names.end()) freezer = directory;
  }
  return freezer;
}

Result<void> check_status(const Observation& observed, const std::string& id) {
  if (observed.status == Status::kRunning || observed.status == Status::kPaused) return {};
  return fail(ErrorKind::kState,
              "cannot checkpoint container " + quoted(id) + ": it is " +
                  std::string(oci::name_of(observed.status)),
              "only a container that runs or is paused has something to take along");
}

Result<void> check_parent_path(const CheckpointOptions& options, const CriuPlaces& places) {
  if (options.parent_path.empty()) return {};
  if (options.parent_path.starts_with('/'))
    return fail(ErrorKind::kUsage, "--parent-path is to be relative to --image-path",
                "so that both can be moved together; for example --parent-path ../first");
  struct stat status{};
  if (::fstatat(places.images.get(), options.parent_path.c_str(), &status, 0) != 0)
    return std::unexpected(
        Error(SysError{"stat", errno, options.parent_path.c_str()}).within("--parent-path"));
  return {};
}

// The signals by which users and managers end commands wait meanwhile: half a checkpoint is none, and
// the container stands still.
class Undisturbed {
 public:
  Undisturbed() {
    sigset_t waiting;
    ::sigemptyset(&waiting);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::sigaddset(&waiting, signal);
    ::sigprocmask(SIG_BLOCK, &waiting, &before_);
  }
  ~Undisturbed() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;

 private:
  sigset_t before_{};
};

class Stages final : public CriuStages {
 public:
  Result<void> reached(std::string_view, HostPid, Fd) override { return {}; }
};

// As it was before: CRIU thaws what it froze, unless it dies.
void let_go_on(const isolation::CgroupSet& groups, const Observation& before) {
  if (before.status == Status::kPaused || groups.empty()) return;
  if (const auto frozen = groups.frozen(); frozen && *frozen) (void)groups.thaw();
}

Result<void> wait_for_the_end(const PidFd& init) {
  constexpr int kPatienceMilliseconds = 20'000;
  struct pollfd item{init.get(), POLLIN, 0};
  int ready = 0;
  do ready = ::poll(&item, 1, kPatienceMilliseconds);
  while (ready < 0 && errno == EINTR);
  if (ready > 0) return {};
  return fail(ErrorKind::kState, "the checkpoint is made, but the container does not end",
              "end it with \"bulkhead-runtime kill\"");
}

Result<void> check_processes(const isolation::CgroupSet& groups, HostPid init) {
  TRY_ASSIGN(std::vector<HostPid> processes, groups.processes());
  processes.push_back(init);
  for (const HostPid pid : processes) {
    // One that ends meanwhile is not taken along.
    const auto status = read_file_at(AT_FDCWD, (proc_of(pid) + "/status").c_str());
    if (status)
      TRY_WITHIN("process " + std::to_string(pid.value()),
                 refuse_uncheckpointable_process(*status));
  }
  return {};
}

Result<CheckpointImage> describe(const oci::Spec& spec, HostPid init, CriuOptions& options) {
  TRY_ASSIGN(const std::string mountinfo,
             read_file_at(AT_FDCWD, (proc_of(init) + "/mountinfo").c_str(), kLargestMountinfo));
  const std::vector<MountEntry> entries = parse_mount_entries(mountinfo);
  TRY_ASSIGN(const Fd root,
             open_at(AT_FDCWD, (proc_of(init) + "/root").c_str(), O_PATH | O_DIRECTORY));
  struct stat null{};
  if (::stat("/dev/null", &null) != 0)
    return std::unexpected(Error(SysError{"stat", errno, "/dev/null"}));
  CheckpointImage image;
  TRY_ASSIGN(image.mounts,
             find_external_mounts(spec, entries, null.st_dev, ResolverInside(root.get())));
  for (const ExternalMount& mount : *image.mounts)
    options.external.push_back("mnt[" + mount.mount_point + "]:" + mount.mount_point);
  StandardDescriptors descriptors = standard_descriptors(init, entries);
  image.descriptors = std::move(descriptors.names);
  options.external.insert(options.external.end(), descriptors.external.begin(),
                          descriptors.external.end());
  if (!joined_network(spec).empty()) {
    struct stat network{};
    const std::string path = proc_of(init) + "/ns/net";
    if (::stat(path.c_str(), &network) != 0)
      return std::unexpected(Error(SysError{"stat", errno, path.c_str()}));
    options.external.push_back("net[" + std::to_string(network.st_ino) +
                               "]:" + std::string(kJoinedNetwork));
  }
  return image;
}

}  // namespace

Result<void> checkpoint_container(const CheckpointOptions& options) {
  TRY_ASSIGN(const isolation::HostFacts host, isolation::gather_host_facts());
  TRY(require_host_root(host, "a checkpoint"));
  TRY_ASSIGN(const ContainerDirectory directory,
             ContainerDirectory::open_locked(options.common.state_root, options.id));
  TRY_ASSIGN(const Record record, directory.read_record());
  TRY_ASSIGN(const Observation observed, directory.observe(record));
  TRY(check_status(observed, options.id));
  TRY_ASSIGN(const std::string config, directory.read_config());
  TRY_ASSIGN(const oci::Spec spec, oci::decode_spec(config));
  TRY(refuse_uncheckpointable(spec));
  TRY_ASSIGN(const PidFd init, ContainerDirectory::hold(observed.init));
  TRY_ASSIGN(const isolation::CgroupSet groups,
             isolation::CgroupSet::open(record.cgroup_directories));

  TRY(check_processes(groups, init.pid()));
  const Undisturbed undisturbed;
  TRY_ASSIGN(const CriuWorker worker, CriuWorker::start({}));
  TRY_ASSIGN(const CriuPlaces places, open_places(options.criu, Missing::kMake));
  TRY(check_parent_path(options, places));
  if (options.pre_dump || !options.parent_path.empty()) {
    TRY_ASSIGN(const bool tracked, worker.tracks_memory());
    if (!tracked)
      return fail(ErrorKind::kUnsupported,
                  "this kernel cannot tell which memory has changed since a pre-dump",
                  "make a checkpoint without --pre-dump and --parent-path");
  }
  CriuOptions criu = options_of(options.criu, places, kLogFile);
  criu.pid = init.pid().value();
  criu.root = record.rootfs;
  criu.freezer = freezer_of(record.cgroup_directories);
  criu.leave_running = options.leave_running || options.pre_dump;
  criu.parent_images = options.parent_path;
  criu.track_memory = options.pre_dump || !options.parent_path.empty();
  TRY_ASSIGN(const CheckpointImage image, describe(spec, init.pid(), criu));
  if (!options.pre_dump) TRY(write_checkpoint_image(places.images.get(), image));

  const std::string what =
      (options.pre_dump ? "pre-dump container " : "checkpoint container ") + quoted(options.id);
  Stages stages;
  const auto answer =
      worker.ask(options.pre_dump ? CriuCall::kPreDump : CriuCall::kDump, criu, stages);
  if (!answer || !answer->success) {
    let_go_on(groups, observed);
    Error error = answer ? criu_failure(what, places, kLogFile, *answer)
                         : with_log(Error(answer.error()).within(what), places, kLogFile);
    if (!init.has_exited()) return std::unexpected(std::move(error));
    return std::unexpected(std::move(error).within("the container has ended"));
  }
  return criu.leave_running ? Result<void>() : wait_for_the_end(init);
}

}  // namespace bulkhead::runtime
