#include "engine/run.h"

#include <sys/socket.h>
#include <unistd.h>

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/run_options.h"
#include "engine/attach.h"
#include "engine/containers.h"
#include "engine/detached.h"
#include "engine/life.h"

namespace bulkhead::cli::engine {
namespace {

// A container of another runtime has a monitor, also while we wait for it; we are attached to that.
Result<int> run_attached(const bulkhead::engine::RunOptions& options) {
  if (options.terminal && options.interactive && ::isatty(STDIN_FILENO) == 0)
    return fail(ErrorKind::kUsage, "--tty with --interactive: the standard input is not a terminal",
                "leave --tty out when the input is a pipe or a file");
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  supervise::MonitorClient client = supervise::MonitorClient::of_pair(Fd(ends[0]));
  bulkhead::engine::EarlyAttach early;
  early.monitors_end = Fd(ends[1]);
  early.streams = supervise::kStreamOutput | supervise::kStreamError;
  if (options.interactive) early.streams |= supervise::kStreamInput;
  TRY_ASSIGN(const std::string id,
             bulkhead::engine::run_detached(options, print_warning, std::move(early)));
  bulkhead::engine::AttachChoices choices;
  choices.input = options.interactive;
  choices.terminal = options.terminal;
  choices.proxy_signals = options.pass_signals;
  choices.signal = [&](int signal) {
    const auto now = bulkhead::engine::find(options.store, id);
    if (now) (void)bulkhead::engine::kill(options.store, *now, signal);
  };
  TRY_ASSIGN(const bulkhead::engine::AttachEnd end, bulkhead::engine::attach(client, choices));
  return end.detached ? 0 : end.code;
}

Result<int> run(const Invocation& invocation) {
  bulkhead::engine::RunOptions options;
  options.store = invocation.store;
  TRY_ASSIGN(const bool wanted, parse_run(invocation.words, options));
  if (!wanted) {
    print(run_help("bulkhead run [OPTIONS] IMAGE [COMMAND...]"));
    return 0;
  }
  if (options.detach) {
    if (!options.result_file.empty())
      return fail(ErrorKind::kUsage, "--result goes with a run in the foreground",
                  "bulkhead inspect tells how a container ended");
    TRY_ASSIGN(const std::string id, bulkhead::engine::run_detached(options, print_warning));
    print(id + "\n");
    return 0;
  }
  if (!options.runtime.empty() && options.runtime != "bulkhead") return run_attached(options);
  TRY_ASSIGN(const bulkhead::engine::RunResult result,
             bulkhead::engine::run(options, print_warning));
  return result.exit.shell_code();
}

}  // namespace

const Command kRunCommand{
    "run", "[OPTIONS] IMAGE [COMMAND...]", "run a command in a new container", run, kEngineFailure,
    true};

}  // namespace bulkhead::cli::engine
