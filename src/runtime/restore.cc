#include "runtime/restore.h"

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "base/text.h"
#include "isolation/cgroup/discover.h"
#include "isolation/cgroup/systemd_manager.h"
#include "policy/enforce.h"
#include "runtime/checkpoint_image.h"
#include "runtime/checkpointable.h"
#include "runtime/child_hooks.h"
#include "runtime/console_socket.h"
#include "runtime/create.h"
#include "runtime/criu_common.h"
#include "runtime/criu_worker.h"
#include "runtime/hooks.h"
#include "runtime/pid_file.h"
#include "runtime/restore_places.h"
#include "runtime/restored_check.h"
#include "runtime/restored_flags.h"
#include "runtime/supervise.h"
#include "runtime/terminal_pump.h"
#include "runtime/undo.h"
#include "runtime/unsupported.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

constexpr const char* kLogFile = "restore.log";

std::string root_of(const oci::Spec& spec, const std::string& bundle) {
  return spec.root->path.starts_with('/') ? spec.root->path : bundle + "/" + spec.root->path;
}

Result<void> check_terminal(const oci::Spec& spec, const RestoreOptions& options) {
  const bool terminal = spec.process->terminal;
  if (terminal && options.detach && options.create.console_socket.empty())
    return fail(ErrorKind::kUsage, "a detached container with a terminal needs --console-socket",
                "give the socket that receives the terminal, or do not detach");
  if (!terminal && !options.create.console_socket.empty())
    return fail(ErrorKind::kUsage, "--console-socket is of use only with a terminal",
                "set process.terminal to true in the configuration");
  return {};
}

// What the first process's label is to begin with; empty: nothing is known of it.
std::string expected_label(const oci::Spec& spec, const RestoreOptions& options,
                           const isolation::HostFacts& host) {
  if (!host.apparmor && !host.selinux) return {};
  const std::size_t colon = options.lsm_profile.find(':');
  if (colon != std::string::npos) return options.lsm_profile.substr(colon + 1);
  if (host.selinux) return spec.process->selinux_label.value_or("");
  return spec.process->apparmor_profile.value_or("");
}

// What CRIU's process is given beside the request.
struct Given {
  CriuSurroundings surroundings;
  std::vector<std::pair<std::string, int>> inherited;
  std::vector<Fd> holders;

  Result<void> add(const std::string& name, int descriptor) {
    constexpr int kAboveStandard = 10;
    Fd copy(::fcntl(descriptor, F_DUPFD_CLOEXEC, kAboveStandard));
    if (!copy) return std::unexpected(Error(SysError{"fcntl(F_DUPFD_CLOEXEC)", errno}));
    inherited.emplace_back(name, copy.get());
    surroundings.descriptors.push_back(copy.get());
    holders.push_back(std::move(copy));
    return {};
  }
};

// Pipes and files of the host that standard input, output and error were: ours stand in for them.
Result<void> give_standard_descriptors(const CheckpointImage& image, Given& given) {
  for (std::size_t number = 0; number < image.descriptors.size() && number < 3; ++number) {
    const std::string& name = image.descriptors[number];
    if (!name.starts_with("pipe:[") && !name.starts_with("file[")) continue;
    // CRIU puts a file where it was read or written last.
    if (name.starts_with("file[") && ::lseek(static_cast<int>(number), 0, SEEK_CUR) < 0)
      return fail(ErrorKind::kUsage,
                  "descriptor " + std::to_string(number) +
                      " of the container was a file or device, and ours, which is to stand in for "
                      "it, has no position",
                  "give a file or /dev/null as standard input, output and error");
    const bool twice = std::ranges::any_of(given.inherited,
                                           [&](const auto& entry) { return entry.first == name; });
    if (!twice) TRY(given.add(name, static_cast<int>(number)));
  }
  return {};
}

Result<Given> give(const oci::Spec& spec, const CheckpointImage& image, const CriuPlaces& places,
                   const isolation::HostFacts& host, const std::string& bundle) {
  Given given;
  given.surroundings.no_new_privileges = spec.process->no_new_privileges;
  given.surroundings.new_session_keyring = host.session_keyring != 0;
  const std::string path = root_of(spec, bundle);
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr)
    return std::unexpected(Error(SysError{"open the root", errno, path.c_str()}));
  given.surroundings.root = resolved;
  given.surroundings.images = places.image_path;
  given.surroundings.work = places.work_path;
  TRY(give_standard_descriptors(image, given));
  const std::string network = joined_network(spec);
  if (network.empty()) return given;
  TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, network.c_str(), O_RDONLY));
  TRY(given.add(std::string(kJoinedNetwork), file.get()));
  return given;
}

// The parent's part while CRIU works.
class Restoring final : public CriuStages {
 public:
  Restoring(const oci::Spec& spec, const Record& record, const isolation::HostFacts& host,
            std::string label, Undo& undo)
      : spec_(spec), record_(record), host_(host), label_(std::move(label)), undo_(undo) {}
  // With systemd's driver CRIU is among the group's processes.
  void leave_out(HostPid worker) { worker_ = worker; }

  // Unless it is taken, the container is not to live on. By now CRIU has ended: what it traces, nobody
  // else can wait for.
  ~Restoring() override {
    if (!init_) return;
    (void)init_.send_signal(SIGKILL);
    (void)init_.wait();
    (void)undo_.cgroups().signal_all(SIGKILL);
  }
  Restoring(const Restoring&) = delete;
  Restoring& operator=(const Restoring&) = delete;

  Result<void> reached(std::string_view stage, HostPid pid, Fd descriptor) override {
    if (stage == "setup-namespaces") {
      TRY(found(pid));
      return run_hooks_before();
    }
    // Without namespaces there is no other stage that tells the pid early.
    if (stage == "post-restore") return found(pid);
    if (stage == "orphan-pts-master") {
      if (!spec_.process->terminal)
        return fail(ErrorKind::kInvalid,
                    "the checkpoint has a terminal, the configuration has none",
                    "restore it with process.terminal as it was");
      terminal_ = std::move(descriptor);
      return {};
    }
    if (stage == "pre-resume") {
      checked_ = true;
      auto held = check();
      // CRIU cannot be stopped any more here.
      if (!held && init_) (void)init_.send_signal(SIGKILL);
      return held;
    }
    return {};
  }

  bool checked() const { return checked_; }
  const PidFd& init() const { return init_; }
  PidFd take_init() { return std::move(init_); }
  Fd take_terminal() { return std::move(terminal_); }

 private:
  Result<void> found(HostPid pid) {
    if (init_) return {};
    TRY_ASSIGN(init_, PidFd::open(pid));
    TRY_ASSIGN(const std::uint64_t start_time, start_time_of(pid));
    TRY(undo_.directory().write_init({pid, start_time}));
    return {};
  }

  Result<void> run_hooks_before() {
    if (!spec_.hooks) return {};
    undo_.end_with_hooks(spec_.hooks->poststop,
                         oci::encode(state_of(record_, oci::Status::kStopped, HostPid{0})));
    const std::string state = oci::encode(state_of(record_, oci::Status::kCreating, init_.pid()));
    TRY(run_hooks(HookStage::kPrestart, spec_.hooks->prestart, state, init_.get()));
    return run_hooks(HookStage::kCreateRuntime, spec_.hooks->create_runtime, state, init_.get());
  }

  Result<void> check() {
    if (!init_)
      return fail(ErrorKind::kInternal, "CRIU has not told the container's first process");
    TRY(set_mount_flags_again(init_, spec_));
    std::vector<HostPid> processes{init_.pid()};
    TRY_ASSIGN(const std::vector<HostPid> all, undo_.cgroups().processes());
    bool inside = undo_.cgroups().empty();
    for (const HostPid pid : all) {
      inside = inside || pid == init_.pid();
      if (pid != init_.pid() && pid != worker_) processes.push_back(pid);
    }
    if (!inside)
      return fail(ErrorKind::kState, "CRIU has not restored the container into its cgroups",
                  "its limits would not hold; nothing was started");
    return check_restored(spec_, host_, processes, label_);
  }

  const oci::Spec& spec_;
  const Record& record_;
  const isolation::HostFacts& host_;
  HostPid worker_;
  std::string label_;
  Undo& undo_;
  PidFd init_;
  Fd terminal_;
  bool checked_ = false;
};

Result<void> move_into(isolation::CgroupSet& groups, HostPid pid) {
  TRY_ASSIGN(const std::vector<int> files, groups.membership(false));
  const std::string number = std::to_string(pid.value());
  for (const int file : files)
    if (auto written = write_all(file, number.data(), number.size()); !written)
      return std::unexpected(
          Error(written.error()).within("moving CRIU into the container's group"));
  return {};
}

Result<void> check_cgroup_mode(const oci::Spec& spec, const Record& record, CriuCgroupMode mode) {
  const bool own_view = std::ranges::any_of(
      spec.linux_.namespaces,
      [](const oci::Namespace& entry) { return entry.type == oci::NamespaceType::kCgroup; });
  if (mode == CriuCgroupMode::kIgnore && own_view)
    return fail(ErrorKind::kUnsupported,
                "--manage-cgroups-mode ignore: CRIU would leave out the cgroup namespace, too",
                "use soft, or a configuration without a cgroup namespace");
  if (mode == CriuCgroupMode::kStrict && !record.found_cgroups.empty())
    return fail(ErrorKind::kExists,
                "--manage-cgroups-mode strict: the container's cgroup is there already: " +
                    record.found_cgroups.front(),
                "remove it, or use soft");
  return {};
}

Result<void> make_groups(const isolation::CgroupLimits::Plan& plan, const Record& record,
                         CriuCgroupMode mode, HostPid worker, Undo& undo) {
  if (plan.groups.empty()) return {};
  TRY_ASSIGN(undo.cgroups(), isolation::CgroupSet::prepare(plan));
  if (plan.unit) {
    // A scope is made around a process, and there is none yet but CRIU.
    TRY_ASSIGN(auto systemd, isolation::cgroup::SystemdManager::connect(true));
    TRY(systemd.start_scope(*plan.unit, worker, plan.unit_properties));
    undo.stop_with(record);
  }
  TRY(undo.cgroups().complete(plan));
  // Otherwise CRIU itself moves what it restores, and stays outside of the limits.
  return mode == CriuCgroupMode::kIgnore ? move_into(undo.cgroups(), worker) : Result<void>();
}

Result<isolation::HostFacts> facts_of(const CommonOptions& common) {
  TRY_ASSIGN(isolation::HostFacts host, isolation::gather_host_facts());
  TRY(require_host_root(host, "a restore"));
  TRY_ASSIGN(host.cgroups, isolation::discover_cgroup_hierarchies());
  if (common.cgroup_driver != isolation::CgroupDriver::kSystemd) return host;
  TRY_ASSIGN(auto systemd, isolation::cgroup::SystemdManager::connect(true));
  isolation::SystemdFacts facts{systemd.root(), systemd.default_slice(), {}};
  TRY_ASSIGN(facts.device_classes, read_file_at(AT_FDCWD, "/proc/devices", 1U << 16));
  host.systemd = std::move(facts);
  return host;
}

Result<CriuOptions> request_of(const RestoreOptions& options, const Bundle& bundle,
                               const CriuPlaces& places, const CheckpointImage& image,
                               const Given& given, const isolation::CgroupLimits::Plan& groups) {
  CriuOptions criu = options_of(options.criu, places, kLogFile);
  criu.root = given.surroundings.root;
  criu.restore_as_sibling = true;
  criu.tcp_close = options.tcp_close;
  criu.lsm_profile = options.lsm_profile;
  criu.lsm_mount_context = options.lsm_mount_context;
  criu.inherited = given.inherited;
  // That none of the groups was there is known by now.
  if (criu.cgroup_mode == CriuCgroupMode::kStrict) criu.cgroup_mode = CriuCgroupMode::kFull;
  TRY_ASSIGN(const std::string own_groups, read_file_at(AT_FDCWD, "/proc/self/cgroup"));
  criu.cgroup_roots = cgroup_roots(groups, own_groups);
  for (const ExternalMount& mount :
       image.mounts ? *image.mounts : presumed_external_mounts(bundle.spec)) {
    TRY_ASSIGN(const std::string source, source_of(mount, bundle.spec, bundle.path));
    criu.external.push_back("mnt[" + mount.mount_point + "]:" + source);
  }
  return criu;
}

Result<Container> restore(const RestoreOptions& options, const Bundle& bundle) {
  const oci::Spec& spec = bundle.spec;
  TRY_ASSIGN(const isolation::HostFacts host, facts_of(options.create.common));
  TRY_ASSIGN(const CriuPlaces places, open_places(options.criu, Missing::kRefuse));
  TRY_ASSIGN(const CheckpointImage image,
             read_checkpoint_image(places.images.get(), places.image_path));
  TRY_ASSIGN(const Given given, give(spec, image, places, host, bundle.path));
  Fd receiver;
  if (!options.create.console_socket.empty()) {
    TRY_ASSIGN(receiver, connect_to_receiver(options.create.console_socket));
  }
  TRY_ASSIGN(ContainerDirectory taken,
             ContainerDirectory::take(options.create.common.state_root, options.create.id));
  Undo undo(std::move(taken));
  isolation::Request request{
      .spec = spec, .container_id = options.create.id, .bundle = bundle.path};
  request.cgroup_driver = options.create.common.cgroup_driver;
  TRY_ASSIGN(const isolation::CgroupLimits::Plan groups,
             isolation::CgroupLimits::describe(request, host));
  const Record record = new_record(options.create, spec, bundle.path, groups);
  TRY_ASSIGN(const std::optional<policy::Policy> policy, policy::read_policy());
  if (policy)
    TRY(policy::enforce(*policy,
                        {.spec = spec,
                         .container = options.create.id,
                         .image = {},
                         .own_mounts = {},
                         .root = root_of(spec, bundle.path)},
                        {}));
  TRY(check_cgroup_mode(spec, record, options.criu.cgroup_mode));
  Restoring stages(spec, record, host, expected_label(spec, options, host), undo);
  TRY_ASSIGN(const CriuWorker worker, CriuWorker::start(given.surroundings));
  stages.leave_out(worker.pid());
  TRY(undo.directory().write_record(record));
  TRY(undo.directory().write_config(bundle.config_json));
  TRY(make_mount_points(spec, given.surroundings.root, bundle.path));
  TRY(make_groups(groups, record, options.criu.cgroup_mode, worker.pid(), undo));
  TRY_ASSIGN(CriuOptions criu, request_of(options, bundle, places, image, given, groups));
  criu.images = worker.images();
  criu.work = worker.work();

  const std::string what = "restore container " + quoted(options.create.id);
  const auto answer = worker.ask(CriuCall::kRestore, criu, stages);
  if (!answer)
    return std::unexpected(with_log(Error(answer.error()).within(what), places, kLogFile));
  if (!answer->success) return std::unexpected(criu_failure(what, places, kLogFile, *answer));
  if (!stages.checked() || !stages.init())
    return fail(ErrorKind::kUnsupported,
                "this version of CRIU does not say when what it restores can be checked",
                "install version 3.16 or a newer one");
  Fd terminal = stages.take_terminal();
  if (spec.process->terminal && !terminal)
    return fail(ErrorKind::kInvalid, "the configuration has a terminal, the checkpoint has none",
                "restore it with process.terminal as it was");
  if (terminal && receiver) {
    TRY(send_descriptor(receiver.get(), terminal.get(), "/dev/ptmx"));
    terminal.reset();
  }
  TRY(write_pid_file(options.create.pid_file, stages.init().pid()));
  TRY(undo.directory().confirm_init());
  std::optional<ContainerDirectory> directory;
  isolation::CgroupSet cgroups;
  undo.release(directory, cgroups);
  cgroups.close_membership();
  return Container{std::move(*directory),
                   record,
                   stages.take_init(),
                   std::move(cgroups),
                   std::move(terminal),
                   {},
                   {}};
}

}  // namespace

Result<RunResult> restore_container(const RestoreOptions& options) {
  TRY(check_id(options.create.id));
  TRY_ASSIGN(const Bundle bundle, load_bundle(options.create));
  TRY(refuse_unsupported(bundle.spec));
  if (!bundle.spec.process)
    return fail(ErrorKind::kInvalid, "/process: missing",
                "a container that is restored needs the process that it had");
  TRY(check_terminal(bundle.spec, options));
  TRY(refuse_uncheckpointable(bundle.spec));
  TRY_ASSIGN(const SignalRelay signals, SignalRelay::start());
  TRY_ASSIGN(Container container, restore(options, bundle));
  RunResult result;
  container.directory.unlock();
  if (options.detach) return result;
  auto exit = supervise_foreground(container.init, signals, std::move(container.terminal));
  if (!exit) {
    (void)container.init.send_signal(SIGKILL);
    (void)container.init.wait();
    (void)discard(std::move(container), bundle.spec);
    return std::unexpected(std::move(exit).error());
  }
  result.exit = *exit;
  TRY_ASSIGN(result.warnings, discard(std::move(container), bundle.spec));
  return result;
}

}  // namespace bulkhead::runtime
