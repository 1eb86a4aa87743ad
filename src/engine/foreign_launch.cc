#include "engine/foreign_launch.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <span>

#include "base/text.h"
#include "engine/foreign_runtime.h"
#include "engine/foreign_terminal.h"
#include "engine/overlay_root.h"
#include "engine/prepare.h"
#include "isolation/cgroup/discover.h"
#include "isolation/mounts/parent_mounts.h"
#include "oci/encode.h"
#include "policy/enforce.h"
#include "runtime/record.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/tree.h"

namespace bulkhead::engine {
namespace {

// What every runtime of these years knows; nothing that we write needs a later one.
constexpr const char* kSpecVersion = "1.0.2";

std::unexpected<Error> refuse(std::string_view what, std::string hint = {}) {
  return fail(ErrorKind::kUnsupported, std::string(what) + " needs Bulkhead's own runtime",
              std::move(hint));
}

class Launch {
 public:
  explicit Launch(const ToLaunch& container)
      : container_(container),
        runroot_(container.store.runroot),
        id_(container.record.id),
        program_(container.record.runtime),
        bundle_(foreign_bundle(runroot_, id_)) {}

  Result<ForeignContainer> run() {
    spec_ = container_.spec;
    TRY(ask_policy());
    TRY(make_bundle());
    auto made = make();
    if (made) return made;
    (void)end_foreign(runroot_, id_);
    auto directory = runtime::ContainerDirectory::open(state_root_of(container_.store), id_);
    if (directory) (void)std::move(*directory).remove();
    return made;
  }

 private:
  // As Bulkhead's own runtime asks it.
  Result<void> ask_policy() {
    TRY_ASSIGN(const std::optional<policy::Policy> policy, policy::read_policy());
    if (!policy) return {};
    std::vector<std::string> weakened = container_.record.opened;
    weakened.push_back("the runtime: " + program_);
    policy::Subject subject{
        .spec = spec_, .container = id_, .image = container_.record.image, .own_mounts = {}};
    for (const isolation::HandedMount& handed : container_.handed_mounts)
      subject.own_mounts.push_back(handed.destination);
    if (spec_.process->args.front() == kInitPath) subject.own_mounts.emplace_back(kInitPath);
    return policy::enforce(*policy, subject, weakened);
  }

  Result<void> make_bundle() {
    TRY(make_directories(bundle_));
    TRY_ASSIGN(directory_, open_at(AT_FDCWD, bundle_.c_str(), O_RDONLY | O_DIRECTORY));
    return write("runtime", program_);
  }

  Result<void> write(const char* name, std::string_view content) const {
    return write_container_file(directory_.get(), name, content);
  }

  Result<ForeignContainer> make() {
    if (!spec_.linux_.uid_mappings.empty()) {
      TRY_ASSIGN(users_, isolation::make_user_namespace(spec_.linux_.uid_mappings,
                                                        spec_.linux_.gid_mappings));
    }
    // Detached copies can be made of mounts of one's own namespace alone: before it is left.
    OverlayRoot root(container_.snapshot);
    TRY_ASSIGN(const Fd root_mount, root.make_root(users_ ? users_.get() : -1));
    TRY(take_binds());
    // What is mounted from here on is seen by this process and the container alone, and goes with them.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
      return std::unexpected(Error(SysError{"unshare(CLONE_NEWNS)", errno}));
    TRY(make_place());
    TRY_ASSIGN(const Fd root_place, make_directory("rootfs"));
    if (auto attached = attach_mount(root_mount.get(), root_place.get(), ""); !attached)
      return std::unexpected(Error(attached.error()).within("the root file system"));
    spec_.root->path = path_ + "/rootfs";
    TRY(place_mounts());
    adapt();
    TRY(write("config.json", oci::encode(spec_)));
    ForeignContainer made;
    TRY(create(made));
    TRY(remember(made));
    TRY(call_runtime(runroot_, program_, {"start", id_}));
    made.warnings = std::move(warnings_);
    return made;
  }

  // Bind mounts are made here, those seen through the container's ids and all others: the container's
  // root, as which the runtime makes mounts, need not be able to reach their sources. It binds what it
  // finds.
  Result<void> take_binds() {
    for (const oci::Mount& mount : spec_.mounts) {
      const auto has = [&](const char* word) {
        return std::ranges::find(mount.options, word) != mount.options.end();
      };
      if (!has("bind") && !has("rbind")) continue;
      if (std::ranges::find(container_.handed_mounts, mount.destination,
                            &isolation::HandedMount::destination) != container_.handed_mounts.end())
        continue;
      MountAttributes attributes;
      if (mount.uid_mappings) {
        attributes.set = MOUNT_ATTR_IDMAP;
        attributes.user_namespace = users_.get();
      }
      auto tree =
          clone_tree_with(AT_FDCWD, mount.source.c_str(),
                          has("rbind") ? Recursion::kWholeTree : Recursion::kThisMount, attributes);
      if (!tree)
        return std::unexpected(
            Error(tree.error())
                .within("--volume " + quoted(mount.source))
                .with_hint(mount.uid_mappings ? "give it the option noidmap, or use a file system "
                                                "that can be idmapped"
                                              : ""));
      binds_.push_back({mount.destination, *std::move(tree)});
    }
    return {};
  }

  // A place that the container's root can reach, unlike the run root: an empty file system on a
  // directory of the host's that nothing here has to do with. Nobody else sees it.
  Result<void> make_place() {
    for (const char* const candidate : {"/mnt", "/media", "/srv", "/opt", "/home", "/boot"}) {
      struct stat status{};
      if (::stat(candidate, &status) != 0 || !S_ISDIR(status.st_mode) || is_needed(candidate))
        continue;
      if (::mount("tmpfs", candidate, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=1m") != 0)
        return std::unexpected(Error(SysError{"mount", errno, candidate}));
      path_ = candidate;
      TRY_ASSIGN(place_, open_at(AT_FDCWD, candidate, O_RDONLY | O_DIRECTORY));
      return {};
    }
    return fail(ErrorKind::kUnsupported,
                "--runtime: there is no directory for the container's root file system",
                "make an empty directory /mnt");
  }

  bool is_needed(std::string_view directory) const {
    const auto beneath = [&](std::string_view path) {
      return path.starts_with(directory) &&
             (path.size() == directory.size() || path[directory.size()] == '/');
    };
    return beneath(program_) || beneath(runroot_) || beneath(container_.store.root);
  }

  Result<Fd> make_directory(const std::string& name) const {
    if (::mkdirat(place_.get(), name.c_str(), 0711) != 0)
      return std::unexpected(Error(SysError{"mkdirat", errno}));
    TRY_ASSIGN(Fd directory, open_at(place_.get(), name.c_str(), O_PATH | O_DIRECTORY));
    return directory;
  }

  Result<void> place_mounts() {
    for (oci::Mount& mount : spec_.mounts) {
      for (const std::span<const isolation::HandedMount> list :
           {container_.handed_mounts, std::span<const isolation::HandedMount>(binds_)}) {
        const auto found =
            std::ranges::find(list, mount.destination, &isolation::HandedMount::destination);
        if (found == list.end()) continue;
        // A volume's is handed over as it is on the disk; a bind's has been seen to.
        if (list.data() == container_.handed_mounts.data() && mount.uid_mappings) {
          MountAttributes attributes;
          attributes.set = MOUNT_ATTR_IDMAP;
          attributes.user_namespace = users_.get();
          if (const auto mapped =
                  set_attributes(found->mount.get(), "", Recursion::kThisMount, attributes);
              !mapped)
            return std::unexpected(
                Error(mapped.error()).within("--volume to " + quoted(mount.destination)));
        }
        TRY(put(found->mount.get(), mount));
        break;
      }
      std::erase_if(mount.options,
                    [](const std::string& word) { return word == "idmap" || word == "ridmap"; });
      mount.uid_mappings.reset();
      mount.gid_mappings.reset();
    }
    return {};
  }

  Result<void> put(int tree, oci::Mount& mount) {
    const std::string name = std::to_string(count_++);
    struct stat status{};
    if (::fstat(tree, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
    Fd on;
    if (S_ISDIR(status.st_mode)) {
      TRY_ASSIGN(on, make_directory(name));
    } else {
      TRY_ASSIGN(on, open_at(place_.get(), name.c_str(), O_RDONLY | O_CREAT | O_EXCL, 0644));
    }
    if (auto attached = attach_mount(tree, on.get(), ""); !attached)
      return std::unexpected(Error(attached.error()).within(mount.destination));
    mount.source = path_ + "/" + name;
    return {};
  }

  void adapt() {
    spec_.oci_version = kSpecVersion;
    const auto is_time = [](const oci::Namespace& each) {
      return each.type == oci::NamespaceType::kTime;
    };
    if (std::ranges::any_of(spec_.linux_.namespaces, is_time) &&
        !abilities_of(program_).time_namespace) {
      std::erase_if(spec_.linux_.namespaces, is_time);
      spec_.linux_.time_offsets.clear();
      warnings_.push_back("no time namespace: " + program_ +
                          " has none, and how long the host has been up is seen");
    }
    warnings_.push_back("the container is made by " + program_ +
                        ": its layers are not verified before it starts");
  }

  Result<void> create(ForeignContainer& made) {
    std::vector<std::string> words{"create", "--bundle", bundle_, "--pid-file", bundle_ + "/pid"};
    TerminalReceiver terminal;
    if (spec_.process->terminal) {
      TRY_ASSIGN(const std::string path, terminal.listen(directory_.get()));
      words.insert(words.end(), {"--console-socket", path});
    }
    words.push_back(id_);
    const bool streams = !spec_.process->terminal;
    TRY(call_runtime(
        runroot_, program_, words,
        streams ? RuntimeStreams{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO} : RuntimeStreams{}));
    if (spec_.process->terminal) {
      TRY_ASSIGN(made.terminal, terminal.receive());
    }
    TRY_ASSIGN(const std::string text, read_file_at(directory_.get(), "pid"));
    const auto pid = parse_number<pid_t>(trim(text));
    if (!pid || *pid <= 0)
      return fail(ErrorKind::kInvalid, program_ + " has written no pid: " + quoted(text));
    auto init = PidFd::open(HostPid(*pid));
    if (!init) return std::unexpected(Error(init.error()).within("the container's first process"));
    made.init = *std::move(init);
    return {};
  }

  // For all that asks the kernel about the container: ps, stats, top, its end.
  Result<void> remember(ForeignContainer& made) {
    TRY_ASSIGN(auto directory,
               runtime::ContainerDirectory::take(state_root_of(container_.store), id_));
    runtime::Record record;
    record.id = id_;
    record.oci_version = kSpecVersion;
    record.bundle = bundle_;
    record.rootfs = bundle_ + "/rootfs";
    record.created = made.created = runtime::now_rfc3339();
    record.annotations = spec_.annotations;
    TRY_ASSIGN(const auto hierarchies, isolation::discover_cgroup_hierarchies());
    for (const isolation::CgroupHierarchy& hierarchy : hierarchies) {
      const std::string group = hierarchy.mount_point + spec_.linux_.cgroups_path;
      if (::access((group + "/cgroup.procs").c_str(), F_OK) != 0) continue;
      std::string names;
      if (!hierarchy.v2)
        for (const std::string& name : hierarchy.controllers)
          names.append(names.empty() ? "" : ",").append(name);
      record.cgroup_directories.push_back(names + ":" + group);
    }
    // Beside v1 others freeze by v1's freezer, and that is what is to be asked; ours by v2.
    const auto freezes = [](const std::string& entry) { return entry.starts_with("freezer:"); };
    if (!program_.ends_with("/bulkhead-runtime") &&
        std::ranges::any_of(record.cgroup_directories, freezes))
      std::erase_if(record.cgroup_directories,
                    [](const std::string& entry) { return entry.starts_with(':'); });
    record.own_pid_namespace = std::ranges::any_of(
        spec_.linux_.namespaces,
        [](const oci::Namespace& each) { return each.type == oci::NamespaceType::kPid; });
    TRY(directory.write_record(record));
    TRY(directory.write_config(oci::encode(spec_)));
    TRY_ASSIGN(const std::uint64_t start_time, start_time_of(made.init.pid()));
    TRY(directory.write_init({made.init.pid(), start_time}));
    TRY(directory.confirm_init());
    return {};
  }

  const ToLaunch& container_;
  const std::string& runroot_;
  const std::string& id_;
  const std::string& program_;
  std::string bundle_;
  Fd directory_;
  Fd users_;
  oci::Spec spec_;
  std::string path_;  // of the place where the container's mounts stand
  Fd place_;
  std::vector<isolation::HandedMount> binds_;
  std::size_t count_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace

Result<void> check_foreign(const RunOptions& options, const Wish& wish, bool has_health_check) {
  if (options.runtime.empty() || options.runtime == "bulkhead") return {};
  if (wish.untrusted) return refuse("--preset untrusted");
  if (wish.security.landlock && *wish.security.landlock != "unconfined")
    return refuse("--security-opt landlock");
  if (options.time_offset && *options.time_offset != "host") return refuse("--time-offset");
  if (!wish.sharing.joined().empty()) return refuse("container:" + wish.sharing.joined());
  if (!options.result_file.empty())
    return refuse("--result", "bulkhead inspect tells how it ended");
  if (has_health_check) return refuse("a health check", "give --no-healthcheck");
  return {};
}

Result<ForeignContainer> launch_foreign(const ToLaunch& container) {
  return Launch(container).run();
}

}  // namespace bulkhead::engine
