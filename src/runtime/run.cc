#include "runtime/run.h"

#include <csignal>

#include "isolation/cgroup/resctrl.h"
#include "runtime/activation.h"
#include "runtime/child_hooks.h"
#include "runtime/hooks.h"
#include "runtime/start.h"
#include "runtime/supervise.h"
#include "runtime/systemd_scope.h"

namespace bulkhead::runtime {
namespace {

Result<void> check_terminal(const oci::Spec& spec, const RunOptions& options) {
  const bool terminal = spec.process && spec.process->terminal;
  if (terminal && options.detach && options.create.console_socket.empty())
    return fail(ErrorKind::kUsage, "a detached container with a terminal needs --console-socket",
                "give the socket, set process.terminal to false, or do not detach");
  if (!terminal && !options.create.console_socket.empty())
    return fail(ErrorKind::kUsage, "--console-socket is of use only with a terminal",
                "set process.terminal to true in the configuration");
  return {};
}

}  // namespace

Result<std::vector<std::string>> discard(Container container, const oci::Spec& spec) {
  std::vector<std::string> warnings;
  auto locked = container.directory.lock();
  // Somebody else has deleted it, and has run its hooks.
  if (!locked && locked.error().error == ENOENT) return warnings;
  if (!locked) return std::unexpected(Error(locked.error()));
  // Processes that share the host's pid namespace outlive their init.
  if (!container.record.own_pid_namespace) (void)container.cgroups.signal_all(SIGKILL);
  TRY(container.cgroups.remove());
  TRY(stop_scope(container.record));
  TRY(isolation::remove_resctrl(container.record.resctrl_directories));
  if (container.record.has_poststop_hooks) {
    const std::string state =
        oci::encode(state_of(container.record, oci::Status::kStopped, HostPid(0)));
    for (const Error& error : run_all_hooks(HookStage::kPoststop, spec.hooks->poststop, state))
      warnings.push_back(error.message());
  }
  TRY(std::move(container.directory).remove());
  return warnings;
}

Result<RunResult> run_container(RunOptions options) {
  TRY_ASSIGN(Bundle bundle, load_bundle(options.create));
  TRY(check_terminal(bundle.spec, options));
  if (bundle.spec.process) {
    TRY_ASSIGN(options.create.preserve_fds,
               pass_descriptors(*bundle.spec.process, options.create.preserve_fds));
  }
  TRY_ASSIGN(const SignalRelay signals, SignalRelay::start());
  TRY_ASSIGN(Container container, make_container({.options = options.create,
                                                  .spec = bundle.spec,
                                                  .config_json = bundle.config_json,
                                                  .bundle = bundle.path,
                                                  .start_mode = StartMode::kStartAtOnce}));
  RunResult result;
  result.warnings = container.warnings;
  const auto end = [&](Error error) -> std::unexpected<Error> {
    (void)container.init.send_signal(SIGKILL);
    (void)container.init.wait();
    (void)discard(std::move(container), bundle.spec);
    return std::unexpected(std::move(error));
  };
  // Others may pause, update or delete it meanwhile.
  container.directory.unlock();
  auto hooks = run_poststart_hooks(bundle.spec, container.record, container.init.pid());
  if (!hooks) return end(std::move(hooks).error());
  if (options.detach) {
    if (container.notify) TRY(container.notify.wait_until_ready(container.init));
    return result;
  }
  auto exit = supervise_foreground(container.init, signals, std::move(container.terminal), nullptr,
                                   container.notify);
  if (!exit) return end(std::move(exit).error());
  result.exit = *exit;
  if (options.keep) return result;
  TRY_ASSIGN(std::vector<std::string> late, discard(std::move(container), bundle.spec));
  result.warnings.insert(result.warnings.end(), late.begin(), late.end());
  return result;
}

}  // namespace bulkhead::runtime
