// create and run.
#include <vector>

#include "cli/runtime/command.h"
#include "runtime/activation.h"
#include "runtime/create.h"
#include "runtime/run.h"

namespace bulkhead::cli {
namespace {

// What create and run have in common; `no_*` are kept until the end because flags only set.
struct CreateFlags {
  runtime::CreateOptions options;
  bool no_pivot = false;
  bool no_new_keyring = false;

  std::vector<Flag> flags() {
    return {
        {"bundle", 'b', &options.bundle, "DIR", "the bundle's directory (default: where you are)"},
        {"config", 'f', &options.config, "FILE",
         "the configuration (default: config.json in the bundle)"},
        {"console-socket", 0, &options.console_socket, "SOCKET",
         "a unix socket that receives the terminal"},
        {"pid-file", 0, &options.pid_file, "FILE",
         "write the pid of the container's first process there"},
        {"pidfd-socket", 0, &options.pidfd_socket, "SOCKET",
         "a unix socket that receives a pidfd of it"},
        {"no-pivot", 0, &no_pivot, "", "move the root mount instead of pivot_root (on a ramdisk)"},
        {"no-new-keyring", 0, &no_new_keyring, "", "keep the caller's session keyring"},
        {"preserve-fds", 0, &options.preserve_fds, "N",
         "pass N more descriptors from 3 on to the container"},
    };
  }

  Result<runtime::CreateOptions> finish(const Invocation& invocation, std::string_view id) {
    options.id = id;
    options.common = invocation.common;
    TRY_ASSIGN(options.common.state_root, invocation.state_root());
    if (no_pivot) options.root_switch = isolation::RootSwitchMethod::kMoveMount;
    options.new_session_keyring = !no_new_keyring;
    return std::move(options);
  }
};

Result<void> check_terminal(const oci::Spec& spec, const runtime::CreateOptions& options) {
  if (!spec.process)
    return fail(ErrorKind::kInvalid, "/process: missing",
                "a container that is to be started needs a process");
  if (spec.process->terminal && options.console_socket.empty())
    return fail(ErrorKind::kUsage,
                "a container with a terminal needs --console-socket, because create does not stay",
                "give the socket, or set process.terminal to false");
  if (!spec.process->terminal && !options.console_socket.empty())
    return fail(ErrorKind::kUsage, "--console-socket is of use only with a terminal",
                "set process.terminal to true in the configuration");
  return {};
}

Result<int> create(Invocation& invocation) {
  CreateFlags given;
  const std::vector<Flag> flags = given.flags();
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 1));
  if (!arguments) return 0;
  TRY_ASSIGN(runtime::CreateOptions options, given.finish(invocation, arguments->front()));
  TRY_ASSIGN(runtime::Bundle bundle, runtime::load_bundle(options));
  TRY(check_terminal(bundle.spec, options));
  TRY_ASSIGN(options.preserve_fds,
             runtime::pass_descriptors(*bundle.spec.process, options.preserve_fds));
  TRY_ASSIGN(const runtime::Container container,
             runtime::make_container({.options = options,
                                      .spec = bundle.spec,
                                      .config_json = bundle.config_json,
                                      .bundle = bundle.path,
                                      .start_mode = runtime::StartMode::kWaitForStart}));
  for (const std::string& warning : container.warnings) invocation.report.warn(warning);
  return 0;
}

Result<int> run(Invocation& invocation) {
  CreateFlags given;
  bool detach = false;
  bool keep = false;
  bool no_subreaper = false;
  std::vector<Flag> flags = given.flags();
  flags.push_back({"detach", 'd', &detach, "", "return once the container runs"});
  flags.push_back({"keep", 0, &keep, "", "do not delete the container when it ends"});
  // runc's: whether it adopts the container's orphans. We never do.
  flags.push_back({"no-subreaper", 0, &no_subreaper, "", ""});
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 1));
  if (!arguments) return 0;
  runtime::RunOptions options;
  TRY_ASSIGN(options.create, given.finish(invocation, arguments->front()));
  options.detach = detach;
  options.keep = keep;
  TRY_ASSIGN(const runtime::RunResult result, runtime::run_container(std::move(options)));
  for (const std::string& warning : result.warnings) invocation.report.warn(warning);
  return result.exit.shell_code();
}

}  // namespace

constexpr Command kCreateCommand{
    .name = "create",
    .arguments = "CONTAINER",
    .summary = "Create a container that waits for its start",
    .description =
        "All of the container is made and verified but its program, which \"start\" executes.\n"
        "CONTAINER is a name of your choice, of letters, digits and _+-.\n\n"
        "Example:\n"
        "  bulkhead-runtime create --bundle /srv/web --pid-file /run/web.pid web\n"
        "  bulkhead-runtime start web\n",
    .run = create,
    .enters_container = true,
};

constexpr Command kRunCommand{
    .name = "run",
    .arguments = "CONTAINER",
    .summary = "Create a container, start it, stand by it and delete it",
    .description =
        "Signals are passed on, a terminal is connected, and the exit code is the container's, or\n"
        "128 and the number of the signal that killed it.\n\n"
        "Examples:\n"
        "  bulkhead-runtime run --bundle /srv/web web\n"
        "  bulkhead-runtime run --bundle /srv/web --detach --pid-file /run/web.pid web\n",
    .run = run,
    .enters_container = true,
};

}  // namespace bulkhead::cli
