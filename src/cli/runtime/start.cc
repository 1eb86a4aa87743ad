#include "runtime/start.h"

#include "cli/runtime/command.h"

namespace bulkhead::cli {
namespace {

Result<int> start(Invocation& invocation) {
  TRY_ASSIGN(const auto arguments, invocation.parse({}, 1, 1));
  if (!arguments) return 0;
  TRY_ASSIGN(invocation.common.state_root, invocation.state_root());
  TRY(runtime::start_container(invocation.common, std::string(arguments->front())));
  return 0;
}

}  // namespace

constexpr Command kStartCommand{
    .name = "start",
    .arguments = "CONTAINER",
    .summary = "Execute the program of a created container",
    .description =
        "Returns when the program has been executed and the poststart hooks have run.\n\n"
        "Example:\n"
        "  bulkhead-runtime start web\n",
    .run = start,
};

}  // namespace bulkhead::cli
