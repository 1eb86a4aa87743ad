#include "engine/run.h"

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/run_options.h"

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
  TRY_ASSIGN(const bulkhead::engine::RunResult result,
             bulkhead::engine::run(options, [](const std::string& text) { print_warning(text); }));
  return result.exit.shell_code();
}

}  // namespace

const Command kRunCommand{"run", "[OPTIONS] IMAGE [COMMAND...]", "run a command in a new container",
                          run};

}  // namespace bulkhead::cli::engine
