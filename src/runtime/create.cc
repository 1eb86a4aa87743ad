#include "runtime/create.h"

#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <span>

#include "isolation/cgroup/discover.h"
#include "isolation/cgroup/resctrl.h"
#include "isolation/cgroup/systemd_manager.h"
#include "isolation/lsm/default_profile.h"
#include "isolation/mounts/parent_mounts.h"
#include "isolation/network/ahead.h"
#include "isolation/network/net_devices.h"
#include "isolation/seccomp/listener.h"
#include "isolation/user/id_maps.h"
#include "launch/host_privileges.h"
#include "launch/joins.h"
#include "oci/decode.h"
#include "oci/validate.h"
#include "policy/enforce.h"
#include "runtime/activation.h"
#include "runtime/child_hooks.h"
#include "runtime/console_socket.h"
#include "runtime/pid_file.h"
#include "runtime/procfs.h"
#include "runtime/terminal_pump.h"
#include "runtime/undo.h"
#include "runtime/unsupported.h"
#include "runtime/warnings.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

using launch::ContainerPlan;

constexpr std::size_t kLargestMountinfo = 64U << 20;

bool is_new(const isolation::NamespacePlan& plan) {
  return plan.wish == isolation::NamespaceWish::kNew;
}

struct Planned {
  ContainerPlan layers;
  isolation::ParentMountsPlan parent_mounts;
  std::optional<isolation::ResctrlPlan> resctrl;
};

// What works beside the parent.
struct Helpers {
  isolation::NetworkAhead network;
  std::optional<isolation::cgroup::SystemdManager> systemd;
};

// The parent's part of making a container.
class Creation final : public launch::ParentTasks {
 public:
  Creation(const NewContainer& wanted, const Planned& planned, const Record& record,
           const ContainerHooks& hooks, Helpers& helpers, Undo& undo)
      : wanted_(wanted),
        plan_(planned.layers),
        parent_mounts_(planned.parent_mounts),
        resctrl_(planned.resctrl),
        record_(record),
        hooks_(hooks),
        helpers_(helpers),
        undo_(undo) {}

  Result<void> cloned(const PidFd& child) override {
    pid_ = child.pid();
    TRY(launch::use_host_privileges(plan_, pid_));
    if (!resctrl_) return {};
    TRY(isolation::join_resctrl(*resctrl_, pid_));
    undo_.leave_resctrl(record_.resctrl_directories);
    return {};
  }

  Result<void> write_id_maps(const PidFd& child) override {
    return isolation::write_id_maps(plan_.get<isolation::UserNamespace>(), child.pid());
  }

  Result<std::vector<Fd>> make_mounts(const PidFd& child) override {
    Fd user_namespace;
    const auto& user = plan_.get<isolation::UserNamespace>();
    if (user.own()) {
      const std::string path =
          is_new(user) ? "/proc/" + std::to_string(child.pid().value()) + "/ns/user" : user.path;
      TRY_ASSIGN(user_namespace, open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK));
    }
    std::vector<Fd> mounts;
    if (wanted_.root_maker != nullptr) {
      TRY_ASSIGN(Fd root, wanted_.root_maker->make_root(user_namespace.get()));
      mounts.push_back(std::move(root));
    }
    TRY_ASSIGN(std::vector<Fd> binds,
               isolation::make_parent_mounts(parent_mounts_, user_namespace.get()));
    std::move(binds.begin(), binds.end(), std::back_inserter(mounts));
    return mounts;
  }

  Result<std::vector<int>> make_cgroups(const PidFd& child) override {
    const auto& plan = plan_.get<isolation::CgroupLimits>();
    if (plan.unit) {
      TRY(helpers_.systemd->start_scope(*plan.unit, child.pid(), plan.unit_properties));
      undo_.stop_with(record_);
    }
    TRY(undo_.cgroups().complete(plan));
    // Before the child can join them: from here on whoever is in them is ours (remove.cc).
    TRY(write_init(child));
    return undo_.cgroups().membership(undo_.cgroups().unified_directory() >= 0);
  }

  Result<void> while_child_works(const PidFd& child) override {
    if (plan_.get<isolation::CgroupLimits>().groups.empty()) TRY(write_init(child));
    TRY(undo_.directory().write_config(wanted_.config_json));
    if (wanted_.root_maker != nullptr) wanted_.root_maker->root_handed_over();
    return hooks_.write_states(record_, child.pid());
  }

  Result<void> root_built(const PidFd& child) override {
    TRY(net_devices_.move(wanted_.spec.linux_.net_devices, child));
    if (!wanted_.spec.hooks) return {};
    undo_.end_with_hooks(wanted_.spec.hooks->poststop,
                         oci::encode(state_of(record_, oci::Status::kStopped, HostPid{0})));
    const std::string state = oci::encode(state_of(record_, oci::Status::kCreating, child.pid()));
    // `delete --force` ends a creation that hangs in a hook by killing the child.
    TRY(run_hooks(HookStage::kPrestart, wanted_.spec.hooks->prestart, state, child.get()));
    return run_hooks(HookStage::kCreateRuntime, wanted_.spec.hooks->create_runtime, state,
                     child.get());
  }

  Result<void> descriptor(std::string_view purpose, Fd fd) override {
    if (purpose == isolation::Seccomp::kListenerPurpose)
      return isolation::hand_over_listener(plan_.get<isolation::Seccomp>(),
                                           state_of(record_, oci::Status::kRunning, pid_),
                                           std::move(fd));
    terminal_ = std::move(fd);
    return {};
  }

  Error explain_no_child(Error error) override {
    return undo_.cgroups().explain_start_failure(std::move(error));
  }

  Error explain_death(const PidFd&) override {
    return undo_.cgroups().explain_start_failure(
        Error(ErrorKind::kSystem, "the container's process died before it could start"));
  }

  Fd take_terminal() { return std::move(terminal_); }
  // The creation has succeeded: they are the container's now.
  void keep_net_devices() noexcept { net_devices_.keep(); }

 private:
  Result<void> write_init(const PidFd& child) {
    TRY_ASSIGN(const std::uint64_t start_time, start_time_of(child.pid()));
    TRY(undo_.directory().write_init({child.pid(), start_time}));
    return {};
  }

  const NewContainer& wanted_;
  const ContainerPlan& plan_;
  const isolation::ParentMountsPlan& parent_mounts_;
  const std::optional<isolation::ResctrlPlan>& resctrl_;
  const Record& record_;
  const ContainerHooks& hooks_;
  Helpers& helpers_;
  Undo& undo_;
  HostPid pid_;
  Fd terminal_;
  isolation::NetDevices net_devices_;
};

isolation::Request request_of(const NewContainer& wanted) {
  isolation::Request request{
      .spec = wanted.spec, .container_id = wanted.options.id, .bundle = wanted.bundle};
  request.root_switch = wanted.options.root_switch;
  request.cgroup_driver = wanted.options.common.cgroup_driver;
  request.new_session_keyring = wanted.options.new_session_keyring;
  request.preserved_descriptors = wanted.options.preserve_fds;
  request.root_from_parent = wanted.root_maker != nullptr;
  for (const isolation::HandedMount& handed : wanted.handed_mounts)
    request.handed_mounts[handed.destination] = handed.mount.get();
  request.defaults = wanted.defaults;
  return request;
}

Record record_of(const NewContainer& wanted, const Planned& planned) {
  Record record = new_record(wanted.options, wanted.spec, wanted.bundle,
                             planned.layers.get<isolation::CgroupLimits>());
  if (planned.resctrl) record.resctrl_directories = isolation::resctrl_record(*planned.resctrl);
  record.own_pid_namespace = is_new(planned.layers.get<isolation::PidNamespace>());
  return record;
}

launch::CloneOptions clone_options_of(const ContainerPlan& plan) {
  launch::CloneOptions clone;
  if (is_new(plan.get<isolation::UserNamespace>())) clone.flags |= CLONE_NEWUSER;
  if (is_new(plan.get<isolation::PidNamespace>())) clone.flags |= CLONE_NEWPID;
  return clone;
}

Result<void> reach_systemd(isolation::HostFacts& host, Helpers& helpers) {
  TRY_ASSIGN(helpers.systemd, isolation::cgroup::SystemdManager::connect(host.privileged()));
  isolation::SystemdFacts facts{helpers.systemd->root(), helpers.systemd->default_slice(), {}};
  TRY_ASSIGN(facts.device_classes, read_file_at(AT_FDCWD, "/proc/devices", 1U << 16));
  host.systemd = std::move(facts);
  return {};
}

Result<std::optional<isolation::ResctrlPlan>> plan_resctrl(const NewContainer& wanted) {
  if (!wanted.spec.linux_.intel_rdt) return std::nullopt;
  TRY_ASSIGN(const std::string mounts,
             read_file_at(AT_FDCWD, "/proc/self/mountinfo", kLargestMountinfo));
  return isolation::describe_resctrl(wanted.spec, wanted.options.id,
                                     isolation::resctrl_mount(mounts));
}

bool has_hooks_before_start(const oci::Spec& spec) {
  return spec.hooks &&
         (!spec.hooks->prestart.empty() || !spec.hooks->create_runtime.empty() ||
          !spec.hooks->create_container.empty() || !spec.hooks->start_container.empty());
}

// What the host's administrator has to say about it.
Result<void> ask_policy(const NewContainer& wanted, const ContainerPlan& plan) {
  TRY_ASSIGN(const std::optional<policy::Policy> policy, policy::read_policy());
  if (!policy) return {};
  std::vector<std::string> weakened(wanted.opened.begin(), wanted.opened.end());
  plan.for_each([&]<class Layer>(const typename Layer::Plan& layer) {
    if (!wanted.opened.empty()) return;
    if (const isolation::Explanation explanation = Layer::explain(layer);
        explanation.standing == isolation::Standing::kOpened)
      weakened.push_back(std::string(Layer::kName) + ": " + explanation.reason);
  });
  policy::Subject subject{.spec = wanted.spec,
                          .container = wanted.options.id,
                          .image = wanted.image,
                          .own_mounts = {wanted.own_mounts.begin(), wanted.own_mounts.end()}};
  for (const isolation::HandedMount& handed : wanted.handed_mounts)
    subject.own_mounts.push_back(handed.destination);
  if (wanted.root_maker == nullptr && wanted.spec.root) {
    const std::string& root = wanted.spec.root->path;
    subject.root = root.starts_with('/') ? root : wanted.bundle + "/" + root;
  }
  return policy::enforce(*policy, subject, weakened);
}

// Everything after the plan stands: from the first thing on disk to the process that is ready.
Result<Container> carry_out(const NewContainer& wanted, const Planned& planned,
                            const isolation::HostFacts& host, Helpers& helpers, Undo& undo) {
  const ContainerPlan& plan = planned.layers;
  const CreateOptions& options = wanted.options;
  const Record record = record_of(wanted, planned);
  TRY(undo.directory().write_record(record));

  Fd console_receiver;
  if (!options.console_socket.empty()) {
    TRY_ASSIGN(console_receiver, connect_to_receiver(options.console_socket));
  }
  Fd pidfd_receiver;
  if (!options.pidfd_socket.empty()) {
    TRY_ASSIGN(pidfd_receiver, connect_to_receiver(options.pidfd_socket));
  }
  NotifyRelay notify;
  if (wanted.start_mode == StartMode::kStartAtOnce) {
    TRY_ASSIGN(notify, NotifyRelay::listen(undo.directory()));
  }
  Fd start_socket;
  if (wanted.start_mode == StartMode::kWaitForStart) {
    TRY_ASSIGN(start_socket, undo.directory().bind_start_socket());
  }

  TRY_ASSIGN(launch::Program program, launch::Program::prepare(*wanted.spec.process));
  TRY_ASSIGN(ContainerHooks hooks, ContainerHooks::prepare(wanted.spec));
  const bool has_groups = !plan.get<isolation::CgroupLimits>().groups.empty();
  if (has_groups) {
    TRY_ASSIGN(undo.cgroups(), isolation::CgroupSet::prepare(plan.get<isolation::CgroupLimits>()));
  }

  launch::ChildInput input;
  launch::LaunchOptions launch_options;
  launch_options.clone = clone_options_of(plan);
  TRY_ASSIGN(launch::Joins joins, launch::joins_before_clone(wanted.spec, ::geteuid() == 0));
  launch_options.clone.joins = std::move(joins.files);
  input.joined = joins.types;
  input.entered = joins.numbers;
  launch_options.clone.cgroup = undo.cgroups().unified_directory();
  launch_options.expected.id_maps = plan.get<isolation::UserNamespace>().waits_for_parent();
  launch_options.expected.mounts = wanted.root_maker != nullptr || !planned.parent_mounts.empty();
  launch_options.expected.cgroups = has_groups;
  launch_options.program = wanted.spec.process->args[0];
  TRY_ASSIGN(const Fd proc, open_procfs());
  input.program = &program;
  input.uid = wanted.spec.process->user.uid;
  input.wait_for_runtime_hooks =
      has_hooks_before_start(wanted.spec) || !wanted.spec.linux_.net_devices.empty();
  input.hooks = hooks.empty() ? nullptr : &hooks;
  input.start_listener = start_socket ? start_socket.get() : -1;
  input.proc = proc.get();
  input.ignored_signals = host.ignored_signals;
  // systemd, too, puts the process into its v2 group before it is told of its groups.
  input.cloned_into_cgroup =
      launch_options.clone.cgroup >= 0 || plan.get<isolation::CgroupLimits>().unit;
  input.dies_with_parent = wanted.dies_with_us;
  input.dumpable_until_mapped = is_new(plan.get<isolation::UserNamespace>()) && ::geteuid() != 0;

  const Fd network = helpers.network.take();
  input.network = network.get();

  Creation creation(wanted, planned, record, hooks, helpers, undo);
  TRY_ASSIGN(PidFd init, launch::launch(plan, input, launch_options, creation));
  launch::ChildGuard guard(init);
  if (plan.has<isolation::Seccomp>() && wanted.start_mode == StartMode::kStartAtOnce)
    TRY(isolation::Seccomp::verify_in_parent(plan.get<isolation::Seccomp>(), init));

  Fd terminal = creation.take_terminal();
  if (terminal && console_receiver) {
    TRY(send_descriptor(console_receiver.get(), terminal.get(), "/dev/ptmx"));
    terminal.reset();
  }
  if (pidfd_receiver) TRY(send_descriptor(pidfd_receiver.get(), init.get(), "pidfd"));
  TRY(write_pid_file(options.pid_file, init.pid()));
  TRY(undo.directory().confirm_init());
  creation.keep_net_devices();
  guard.dismiss();

  std::optional<ContainerDirectory> directory;
  isolation::CgroupSet cgroups;
  undo.release(directory, cgroups);
  cgroups.close_membership();
  return Container{std::move(*directory), record,
                   std::move(init),       std::move(cgroups),
                   std::move(terminal),   warnings_of(plan),
                   std::move(notify)};
}

}  // namespace

namespace {

// What a bundle brings may be hostile: a pipe in its configuration's place would never answer. A file
// that the caller names himself may be one.
Result<std::string> read_config(const std::string& path, bool of_bundle) {
  const int flags = of_bundle ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_RDONLY;
  TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, path.c_str(), flags));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  if (of_bundle && !S_ISREG(status.st_mode))
    return fail(ErrorKind::kInvalid, path + ": is no regular file",
                "a bundle's configuration is a file named config.json in its root");
  auto text = read_fd(file.get(), kMostConfigBytes);
  if (!text) return std::unexpected(std::move(text).error().within(path));
  return text;
}

}  // namespace

Result<Bundle> load_bundle(const CreateOptions& options) {
  Bundle bundle;
  const std::string given = options.bundle.empty() ? "." : options.bundle;
  char resolved[PATH_MAX];
  if (::realpath(given.c_str(), resolved) == nullptr)
    return std::unexpected(Error(SysError{"open the bundle", errno, given.c_str()}));
  bundle.path = resolved;
  const std::string config = options.config.empty() ? bundle.path + "/config.json" : options.config;
  TRY_ASSIGN(bundle.config_json, read_config(config, options.config.empty()));
  auto spec = oci::decode_spec(bundle.config_json);
  if (!spec) return std::unexpected(std::move(spec).error().within(config));
  bundle.spec = std::move(*spec);
  TRY_WITHIN(config, oci::validate(bundle.spec));
  return bundle;
}

Record new_record(const CreateOptions& options, const oci::Spec& spec, const std::string& bundle,
                  const isolation::CgroupLimits::Plan& groups) {
  Record record;
  record.id = options.id;
  record.oci_version = spec.oci_version;
  record.bundle = bundle;
  record.rootfs =
      spec.root->path.starts_with('/') ? spec.root->path : bundle + "/" + spec.root->path;
  record.created = now_rfc3339();
  record.annotations = spec.annotations;
  record.cgroup_directories = isolation::cgroup_record(groups);
  // A path of the caller's may lead to groups of his: they outlive the container.
  if (!spec.linux_.cgroups_path.empty())
    for (const std::string& entry : record.cgroup_directories)
      if (::access(entry.c_str() + entry.find(":/") + 1, F_OK) == 0)
        record.found_cgroups.push_back(entry);
  record.cgroup_driver = options.common.cgroup_driver;
  record.has_poststop_hooks = spec.hooks && !spec.hooks->poststop.empty();
  return record;
}

Result<std::vector<std::string>> create_container(CreateOptions options) {
  TRY_ASSIGN(Bundle bundle, load_bundle(options));
  if (bundle.spec.process) {
    if (bundle.spec.process->terminal && options.console_socket.empty())
      return fail(ErrorKind::kUsage, "a container with a terminal needs --console-socket",
                  "give the socket that receives the terminal, or set process.terminal to false");
    if (!bundle.spec.process->terminal && !options.console_socket.empty())
      return fail(ErrorKind::kUsage, "--console-socket is of use only with a terminal",
                  "set process.terminal to true in the configuration");
    TRY_ASSIGN(options.preserve_fds, pass_descriptors(*bundle.spec.process, options.preserve_fds));
  }
  TRY_ASSIGN(Container container, make_container({.options = options,
                                                  .spec = bundle.spec,
                                                  .config_json = bundle.config_json,
                                                  .bundle = bundle.path}));
  return std::move(container.warnings);
}

Result<Container> make_container(NewContainer wanted) {
  TRY(check_id(wanted.options.id));
  TRY(refuse_unsupported(wanted.spec));
  if (!wanted.spec.process)
    return fail(ErrorKind::kInvalid, "/process: missing",
                "a container that is to be started needs a process");
  Helpers helpers;
  if (isolation::NetworkAhead::fits(wanted.spec)) helpers.network.start();
  TRY_ASSIGN(ContainerDirectory directory,
             ContainerDirectory::take(wanted.options.common.state_root, wanted.options.id));
  Undo undo(std::move(directory));
  TRY(offer_notify_socket(wanted.spec, undo.directory()));
  // Whoever takes the terminal by the socket sizes it; otherwise it stands in for ours.
  oci::Process& process = *wanted.spec.process;
  if (process.terminal && !process.console_size && wanted.options.console_socket.empty())
    process.console_size = own_terminal_size();
  TRY_ASSIGN(isolation::HostFacts host, isolation::gather_host_facts());
  TRY_ASSIGN(host.cgroups, isolation::discover_cgroup_hierarchies());
  if (wanted.options.common.cgroup_driver == isolation::CgroupDriver::kSystemd)
    TRY(reach_systemd(host, helpers));
  host.apparmor_mode = isolation::mode_of_wanted_profile(wanted.spec, host);
  const isolation::Request request = request_of(wanted);
  TRY_ASSIGN(ContainerPlan plan, ContainerPlan::describe(request, host));
  TRY_ASSIGN(isolation::ParentMountsPlan parent_mounts,
             isolation::describe_parent_mounts(request, host));
  for (const std::string& layer : wanted.options.common.removed_layers)
    if (!plan.remove(layer)) return fail(ErrorKind::kUsage, "no layer is named " + layer);
  TRY_ASSIGN(std::optional<isolation::ResctrlPlan> resctrl, plan_resctrl(wanted));
  TRY(ask_policy(wanted, plan));
  return carry_out(wanted, {std::move(plan), std::move(parent_mounts), std::move(resctrl)}, host,
                   helpers, undo);
}

}  // namespace bulkhead::runtime
