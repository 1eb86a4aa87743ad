#include "cli/runtime/command.h"
#include "runtime/control.h"

namespace bulkhead::cli {
namespace {

Result<int> delete_command(Invocation& invocation) {
  bool force = false;
  const std::vector<Flag> flags = {
      {"force", 'f', &force, "", "kill it first, if it runs; fine if it does not exist"}};
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 1));
  if (!arguments) return 0;
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY_ASSIGN(const std::vector<Error> failures,
             runtime::delete_container(
                 root, arguments->front(),
                 force ? runtime::DeleteMode::kForce : runtime::DeleteMode::kStoppedOnly));
  for (const Error& failure : failures) invocation.report.warn(failure);
  return 0;
}

}  // namespace

constexpr Command kDeleteCommand{
    .name = "delete",
    .arguments = "CONTAINER",
    .summary = "Remove a container that has ended, or was never started",
    .description =
        "Removes its cgroups and its record, and runs the poststop hooks.\n\n"
        "Examples:\n"
        "  bulkhead-runtime delete web\n"
        "  bulkhead-runtime delete --force web\n",
    .run = delete_command,
};

}  // namespace bulkhead::cli
