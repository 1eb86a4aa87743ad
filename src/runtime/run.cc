#include "runtime/run.h"

#include <csignal>

#include "runtime/activation.h"
#include "runtime/remove.h"
#include "runtime/start.h"
#include "runtime/supervise.h"

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
  TRY_ASSIGN(const std::vector<Error> errors,
             remove_stopped(std::move(container.directory), container.record, container.cgroups,
                            spec.hooks ? spec.hooks->poststop : std::vector<oci::Hook>()));
  for (const Error& error : errors) warnings.push_back(error.message());
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
