#include "engine/exec.h"

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"

namespace bulkhead::cli::engine {
namespace {

Result<int> exec(const Invocation& invocation) {
  bulkhead::engine::ExecChoices choices;
  bool privileged = false;
  const Option options[] = {
      {"detach", 'd', &choices.detach, "", "do not wait for it; what it says is lost"},
      {"env", 'e', &choices.env, "NAME=VALUE", "set a variable; NAME alone takes ours"},
      {"env-file", 0, &choices.env_files, "FILE", "set the variables that stand in a file",
       ValueKind::kFile},
      {"interactive", 'i', &choices.interactive, "", "let it read our standard input"},
      {"privileged", 0, &privileged, "", "refused: nothing in a container gets more than its init"},
      {"tty", 't', &choices.terminal, "", "give it a terminal"},
      {"user", 'u', &choices.user, "USER", "run as UID[:GID] or NAME[:GROUP] of the container"},
      {"workdir", 'w', &choices.workdir, "DIR", "start in this directory of the container"},
  };
  TRY_ASSIGN(Words words,
             parse({options, docker_options("exec")}, invocation.words, Positionals::kEndOptions));
  if (words.help) {
    print(
        "Usage: bulkhead exec [OPTIONS] CONTAINER COMMAND [ARGUMENTS...]\n\nRuns one more command "
        "in "
        "a container that runs: in its namespaces and groups, behind its\nprofile and label, with "
        "no "
        "capability that its first process has not.\n\nOptions:\n" +
        describe(options) +
        "\nExit codes: the command's own; 1 there is no such container, or it does not run; 126 "
        "the command\ncannot be executed; 127 there is no such command.\n");
    return 0;
  }
  if (privileged)
    return fail(ErrorKind::kUnsupported,
                "--privileged: a process in a container never gets more than its first process",
                "run the container with what it needs, such as --cap-add");
  if (words.positional.size() < 2)
    return fail(ErrorKind::kUsage, "a container and a command are expected",
                "bulkhead exec CONTAINER COMMAND [ARGUMENTS...]");
  const auto container = bulkhead::engine::find(invocation.store, words.positional.front());
  if (!container) {
    print_error(container.error());
    return kSomeFailed;
  }
  choices.command.assign(std::make_move_iterator(words.positional.begin() + 1),
                         std::make_move_iterator(words.positional.end()));
  auto code = bulkhead::engine::exec(invocation.store, *container, choices, print_warning);
  if (code || code.error().kind() != ErrorKind::kState) return code;
  print_error(code.error());
  return kSomeFailed;
}

}  // namespace

const Command kExecCommand{"exec",
                           "[OPTIONS] CONTAINER COMMAND [ARGUMENTS...]",
                           "run one more command in a container",
                           exec,
                           kNotExecutable,
                           true};

}  // namespace bulkhead::cli::engine
