#include "runtime/exec.h"

#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "isolation/cgroup/parent.h"
#include "isolation/lsm/default_profile.h"
#include "isolation/namespace.h"
#include "isolation/seccomp/listener.h"
#include "launch/host_privileges.h"
#include "launch/launch.h"
#include "launch/pid_visit.h"
#include "oci/decode.h"
#include "oci/validate.h"
#include "runtime/activation.h"
#include "runtime/child_hooks.h"
#include "runtime/console_socket.h"
#include "runtime/pid_file.h"
#include "runtime/procfs.h"
#include "runtime/record.h"
#include "runtime/supervise.h"
#include "runtime/terminal_pump.h"
#include "runtime/warnings.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

using launch::ExecPlan;

class Joining final : public launch::ParentTasks {
 public:
  Joining(const ExecPlan& plan, const Record& record, Fd console_receiver)
      : plan_(plan), record_(record), console_receiver_(std::move(console_receiver)) {}

  Result<void> cloned(const PidFd& child) override {
    pid_ = child.pid();
    return {};
  }
  Result<void> write_id_maps(const PidFd&) override { return {}; }
  Result<std::vector<Fd>> make_mounts(const PidFd&) override { return std::vector<Fd>(); }
  Result<std::vector<int>> make_cgroups(const PidFd&) override { return std::vector<int>(); }
  Result<void> while_child_works(const PidFd&) override { return {}; }
  Result<void> root_built(const PidFd&) override { return {}; }

  Result<void> descriptor(std::string_view purpose, Fd fd) override {
    if (purpose == isolation::Seccomp::kListenerPurpose)
      return isolation::hand_over_listener(plan_.get<isolation::Seccomp>(),
                                           state_of(record_, oci::Status::kRunning, pid_),
                                           std::move(fd));
    if (console_receiver_) return send_descriptor(console_receiver_.get(), fd.get(), "/dev/ptmx");
    terminal_ = std::move(fd);
    return {};
  }

  Error explain_death(const PidFd&) override {
    return Error(ErrorKind::kSystem, "the process died before it could be executed",
                 "a memory limit of the container may have killed it");
  }

  Fd take_terminal() { return std::move(terminal_); }

 private:
  const ExecPlan& plan_;
  const Record& record_;
  Fd console_receiver_;
  HostPid pid_;
  Fd terminal_;
};

// "UID[:GID]".
Result<void> set_user(oci::User& user, std::string_view text) {
  std::string_view rest = text;
  const auto uid = parse_number<std::uint32_t>(next_field(rest, ':'));
  const bool has_gid = text.find(':') != std::string_view::npos;
  const auto gid = has_gid ? parse_number<std::uint32_t>(rest) : std::optional<std::uint32_t>(0);
  constexpr std::uint32_t kNobody = 0xFFFFFFFF;  // (uid_t)-1 means "unchanged" to setresuid(2)
  if (!uid || !gid || *uid == kNobody || *gid == kNobody)
    return fail(ErrorKind::kUsage, "--user: " + quoted(text) + " is not UID[:GID]",
                "give numbers from 0 to 4294967294; names are resolved by the engine");
  user.uid = ContainerUid(*uid);
  user.gid = ContainerGid(*gid);
  user.additional_gids.clear();
  return {};
}

void add_capability(std::vector<std::string>& set, const std::string& name) {
  if (std::find(set.begin(), set.end(), name) == set.end()) set.push_back(name);
}

Result<oci::Process> wanted_process(const oci::Spec& spec, const ExecOptions& options) {
  if (options.process_file.empty()) {
    TRY_ASSIGN(oci::Process process, changed_process(*spec.process, options));
    TRY(oci::validate_process(process));
    return process;
  }
  TRY_ASSIGN(const std::string text,
             read_file_at(AT_FDCWD, options.process_file.c_str(), 16 << 20));
  auto process = oci::decode_process(text);
  if (!process) return std::unexpected(std::move(process).error().within(options.process_file));
  TRY_WITHIN(options.process_file, oci::validate_process(*process));
  return process;
}

Result<void> check_running(const Observation& observed, bool ignore_paused) {
  if (observed.status == Status::kStopped || observed.status == Status::kCreating)
    return fail(ErrorKind::kState, "cannot exec in a stopped container");
  if (observed.status == Status::kPaused && !ignore_paused)
    return fail(ErrorKind::kState, "cannot exec in a paused container",
                "resume it first, or use --ignore-paused");
  return {};
}

// What to enter by the pidfd of the container's init: what the configuration lists.
int namespaces_of(const oci::Spec& spec) {
  std::uint64_t types = 0;
  for (const oci::Namespace& entry : spec.linux_.namespaces)
    types |= isolation::namespace_flag(entry.type);
  return static_cast<int>(types);
}

// The directory of the v2 group, if one is among the membership files, which it is taken out of.
Result<Fd> take_unified_directory(std::vector<int>& files) {
  constexpr std::string_view kMembership = "/cgroup.procs";
  for (std::size_t i = 0; i < files.size(); ++i) {
    char path[PATH_MAX];
    const std::string link = "/proc/self/fd/" + std::to_string(files[i]);
    const ssize_t size = ::readlink(link.c_str(), path, sizeof path - 1);
    if (size < 0) return std::unexpected(Error(SysError{"readlink", errno, link.c_str()}));
    const std::string_view name(path, static_cast<std::size_t>(size));
    if (!name.ends_with(kMembership)) continue;
    path[name.size() - kMembership.size()] = '\0';
    TRY_ASSIGN(Fd directory, open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
    files.erase(files.begin() + static_cast<std::ptrdiff_t>(i));
    return directory;
  }
  return Fd();
}

struct Attached {
  PidFd process;
  Fd terminal;
  std::vector<std::string> warnings;
};

Result<Attached> launch_process(const ExecOptions& options, const oci::Spec& spec,
                                const ContainerDirectory& directory, const Record& record,
                                const PidFd& init, std::uint32_t preserved, int group) {
  isolation::Request request{.spec = spec, .container_id = record.id, .bundle = record.bundle};
  request.joining = true;
  request.preserved_descriptors = preserved;
  TRY_ASSIGN(isolation::HostFacts host, isolation::gather_host_facts());
  host.apparmor_mode = isolation::mode_of_wanted_profile(spec, host);
  TRY_ASSIGN(ExecPlan plan, ExecPlan::describe(request, host));
  // A layer that only creation has is not missed here.
  for (const std::string& layer : options.common.removed_layers) (void)plan.remove(layer);
  TRY_ASSIGN(launch::Program program, launch::Program::prepare(*spec.process));
  TRY_ASSIGN(const isolation::CgroupSet cgroups,
             isolation::CgroupSet::name(record.cgroup_directories));
  auto beneath = isolation::parse_sub_groups(options.cgroups);
  if (!beneath) return std::unexpected(std::move(beneath).error().within("--cgroup"));
  TRY_ASSIGN(const std::vector<Fd> membership, cgroups.open_membership(init.pid(), *beneath));
  Fd console_receiver;
  if (!options.console_socket.empty()) {
    TRY_ASSIGN(console_receiver, connect_to_receiver(options.console_socket));
  }
  Fd pidfd_receiver;
  if (!options.pidfd_socket.empty()) {
    TRY_ASSIGN(pidfd_receiver, connect_to_receiver(options.pidfd_socket));
  }
  TRY_ASSIGN(const Fd proc, open_procfs());

  std::vector<int> files;
  for (const Fd& file : membership) files.push_back(file.get());
  // The v2 group is entered by the clone: a process that moves itself there waits for the kernel.
  TRY_ASSIGN(const Fd unified, take_unified_directory(files));
  const int types = namespaces_of(spec);
  launch::ChildInput input;
  input.program = &program;
  input.uid = spec.process->user.uid;
  input.proc = proc.get();
  input.ignored_signals = host.ignored_signals;
  input.joined = static_cast<std::uint64_t>(types);
  input.cgroup_files = files;
  launch::LaunchOptions launch_options;
  launch_options.program = spec.process->args[0];
  launch_options.clone.cgroup = group >= 0 ? group : unified.get();
  Joining joining(plan, record, std::move(console_receiver));
  (void)directory;

  // With the host's privileges the pid namespace is entered by the clone, and the rest by the child
  // itself, after its cgroups. Without them everything is behind the user namespace, which takes a
  // process in between.
  const bool privileged = host.privileged();
  TRY_ASSIGN(const launch::PidNamespaceVisit visit,
             launch::PidNamespaceVisit::enter(init, privileged && (types & CLONE_NEWPID) != 0));
  if (privileged) {
    input.join_process = init.get();
    input.join_namespaces = types & ~CLONE_NEWPID;
  } else {
    Fd same(::fcntl(init.get(), F_DUPFD_CLOEXEC, 0));
    if (!same) return std::unexpected(Error(SysError{"fcntl(F_DUPFD_CLOEXEC)", errno}));
    launch_options.clone.joins.push_back({std::move(same), types});
    launch_options.clone.cgroup_files = files;
    // Inherited on the way: in there nobody but the host's root could do it.
    TRY(launch::prepare_to_join(plan));
  }
  TRY_ASSIGN(PidFd process, launch::launch(plan, input, launch_options, joining));
  launch::ChildGuard guard(process);
  if (plan.has<isolation::Seccomp>())
    TRY(isolation::Seccomp::verify_in_parent(plan.get<isolation::Seccomp>(), process));
  if (pidfd_receiver) TRY(send_descriptor(pidfd_receiver.get(), process.get(), "pidfd"));
  TRY(write_pid_file(options.pid_file, process.pid()));
  guard.dismiss();
  return Attached{std::move(process), joining.take_terminal(), warnings_of(plan)};
}

// A container that runs, and the process that is wanted in it.
struct Target {
  ContainerDirectory directory;
  Record record;
  PidFd init;
  oci::Spec spec;  // its process is the wanted one
};

Result<Target> find_target(const ExecOptions& options) {
  TRY_ASSIGN(ContainerDirectory directory,
             ContainerDirectory::open(options.common.state_root, options.id));
  TRY_ASSIGN(Record record, directory.read_record());
  TRY_ASSIGN(const Observation observed, directory.observe(record));
  TRY(check_running(observed, options.ignore_paused));
  TRY_ASSIGN(PidFd init, ContainerDirectory::hold(observed.init));
  TRY_ASSIGN(const std::string config, directory.read_config());
  TRY_ASSIGN(oci::Spec spec, oci::decode_spec(config));
  TRY_ASSIGN(spec.process, wanted_process(spec, options));
  return Target{std::move(directory), std::move(record), std::move(init), std::move(spec)};
}

}  // namespace

Result<oci::Process> changed_process(const oci::Process& own, const ExecOptions& options) {
  oci::Process process = own;
  process.args = options.args;
  process.terminal = options.tty;
  if (!options.tty) process.console_size.reset();
  if (!options.cwd.empty()) process.cwd = options.cwd;
  if (!options.user.empty()) TRY(set_user(process.user, options.user));
  for (const std::uint32_t gid : options.additional_gids)
    process.user.additional_gids.push_back(ContainerGid(gid));
  for (const std::string& entry : options.env) {
    const std::size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos)
      return fail(ErrorKind::kUsage, "--env: " + quoted(entry) + " is not NAME=VALUE");
    const std::string_view name = std::string_view(entry).substr(0, equals + 1);
    std::erase_if(process.env, [&](const std::string& other) { return other.starts_with(name); });
    process.env.push_back(entry);
  }
  if (!options.capabilities.empty() && !process.capabilities) process.capabilities.emplace();
  for (const std::string& given : options.capabilities) {
    const std::string name = given.starts_with("CAP_") ? given : "CAP_" + given;
    add_capability(process.capabilities->bounding, name);
    add_capability(process.capabilities->effective, name);
    add_capability(process.capabilities->permitted, name);
  }
  if (!options.apparmor_profile.empty()) process.apparmor_profile = options.apparmor_profile;
  if (!options.process_label.empty()) process.selinux_label = options.process_label;
  if (options.no_new_privileges) process.no_new_privileges = *options.no_new_privileges;
  return process;
}

Result<ExecResult> exec_in_container(const ExecOptions& options) {
  TRY_ASSIGN(Target target, find_target(options));
  oci::Process& process = *target.spec.process;
  if (process.terminal && options.detach && options.console_socket.empty())
    return fail(ErrorKind::kUsage, "a detached process with a terminal needs --console-socket");
  if (!process.terminal && !options.console_socket.empty())
    return fail(ErrorKind::kUsage, "--console-socket is of use only with a terminal",
                "set process.terminal or give --tty");
  if (process.terminal && !process.console_size && options.console_socket.empty())
    process.console_size = own_terminal_size();
  TRY_ASSIGN(const std::uint32_t preserved, pass_descriptors(process, options.preserve_fds));
  TRY_ASSIGN(const SignalRelay signals, SignalRelay::start());
  TRY_ASSIGN(Attached attached, launch_process(options, target.spec, target.directory,
                                               target.record, target.init, preserved, -1));
  ExecResult result;
  result.warnings = std::move(attached.warnings);
  if (options.detach) return result;
  auto exit = supervise_foreground(attached.process, signals, std::move(attached.terminal));
  if (!exit) {
    // Nobody stands by it any more.
    (void)attached.process.send_signal(SIGKILL);
    (void)attached.process.wait();
    return std::unexpected(std::move(exit).error());
  }
  result.exit = *exit;
  return result;
}

Result<GroupedProcess> start_in_own_group(const ExecOptions& options, std::string_view group) {
  TRY_ASSIGN(const Target target, find_target(options));
  TRY_ASSIGN(ExecGroup own, ExecGroup::make(target.record.cgroup_directories, group));
  auto launched = launch_process(options, target.spec, target.directory, target.record, target.init,
                                 0, own.directory());
  if (!launched) {
    own.end(PidFd());
    return std::unexpected(std::move(launched).error());
  }
  return GroupedProcess{std::move(launched->process), std::move(own)};
}

}  // namespace bulkhead::runtime
