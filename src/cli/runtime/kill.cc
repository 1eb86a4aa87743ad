#include "cli/runtime/command.h"
#include "runtime/control.h"
#include "runtime/signal_name.h"

namespace bulkhead::cli {
namespace {

Result<int> kill(Invocation& invocation) {
  bool all = false;
  const std::vector<Flag> flags = {
      {"all", 'a', &all, "", "to every process in the container, not its first alone"}};
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 2));
  if (!arguments) return 0;
  TRY_ASSIGN(const int signal,
             runtime::parse_signal(arguments->size() == 2 ? (*arguments)[1] : "TERM"));
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY(runtime::kill_container(root, arguments->front(), signal,
                              all ? runtime::SignalTo::kEveryProcess : runtime::SignalTo::kInit));
  return 0;
}

}  // namespace

constexpr Command kKillCommand{
    .name = "kill",
    .arguments = "CONTAINER [SIGNAL]",
    .summary = "Send a signal to a container",
    .description =
        "SIGNAL is a name with or without SIG, or a number (default: TERM).\n\n"
        "Examples:\n"
        "  bulkhead-runtime kill web\n"
        "  bulkhead-runtime kill --all web KILL\n",
    .run = kill,
};

}  // namespace bulkhead::cli
