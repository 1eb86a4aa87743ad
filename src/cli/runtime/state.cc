#include "cli/runtime/command.h"
#include "cli/runtime/output.h"
#include "runtime/control.h"

namespace bulkhead::cli {
namespace {

Result<int> state(Invocation& invocation) {
  TRY_ASSIGN(const auto arguments, invocation.parse({}, 1, 1));
  if (!arguments) return 0;
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY_ASSIGN(const oci::State state, runtime::container_state(root, arguments->front()));
  TRY(print(oci::encode(state, json::Style::kIndented) + "\n"));
  return 0;
}

}  // namespace

constexpr Command kStateCommand{
    .name = "state",
    .arguments = "CONTAINER",
    .summary = "Print the state of a container as JSON",
    .description =
        "The status is creating, created, running, paused or stopped; the pid is 0 when "
        "stopped.\n\n"
        "Example:\n"
        "  bulkhead-runtime state web\n",
    .run = state,
};

}  // namespace bulkhead::cli
