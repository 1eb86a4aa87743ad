#include "engine/run.h"

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/run_options.h"
#include "engine/detached.h"

namespace bulkhead::cli::engine {
namespace {

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
  TRY_ASSIGN(const bulkhead::engine::RunResult result,
             bulkhead::engine::run(options, print_warning));
  return result.exit.shell_code();
}

}  // namespace

const Command kRunCommand{
    "run", "[OPTIONS] IMAGE [COMMAND...]", "run a command in a new container", run, kEngineFailure,
    true};

}  // namespace bulkhead::cli::engine
