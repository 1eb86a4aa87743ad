// pause and resume.
#include "cli/runtime/command.h"
#include "runtime/control.h"

namespace bulkhead::cli {
namespace {

Result<int> pause(Invocation& invocation) {
  TRY_ASSIGN(const auto arguments, invocation.parse({}, 1, 1));
  if (!arguments) return 0;
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY(runtime::pause_container(root, arguments->front()));
  return 0;
}

Result<int> resume(Invocation& invocation) {
  TRY_ASSIGN(const auto arguments, invocation.parse({}, 1, 1));
  if (!arguments) return 0;
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY(runtime::resume_container(root, arguments->front()));
  return 0;
}

}  // namespace

constexpr Command kPauseCommand{
    .name = "pause",
    .arguments = "CONTAINER",
    .summary = "Stop every process of a container until it is resumed",
    .description =
        "Returns when all of them stand still.\n\n"
        "Example:\n"
        "  bulkhead-runtime pause web\n",
    .run = pause,
};

constexpr Command kResumeCommand{
    .name = "resume",
    .arguments = "CONTAINER",
    .summary = "Let the processes of a paused container go on",
    .description =
        "Example:\n"
        "  bulkhead-runtime resume web\n",
    .run = resume,
};

}  // namespace bulkhead::cli
