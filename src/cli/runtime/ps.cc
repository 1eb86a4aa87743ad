#include "base/text.h"
#include "cli/runtime/command.h"
#include "cli/runtime/output.h"
#include "cli/runtime/process_table.h"
#include "json/writer.h"
#include "runtime/control.h"

namespace bulkhead::cli {
namespace {

Result<int> ps(Invocation& invocation) {
  std::string format = "table";
  const std::vector<Flag> flags = {
      {"format", 'f', &format, "FORMAT", "table, or json: the pids alone"}};
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, kAnyNumber, Order::kBeforeArguments));
  if (!arguments) return 0;
  if (format != "table" && format != "json")
    return fail(ErrorKind::kUsage, "invalid value " + quoted(format) + " for flag -format",
                "table or json is expected");
  // "-ef", ps's own way to ask for what we print anyway.
  if (arguments->size() > 2 || (arguments->size() == 2 && (*arguments)[1] != "-ef"))
    return fail(ErrorKind::kUnsupported, "options of ps(1) are not supported",
                "take the pids of --format json, and give them to ps -p");
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY_ASSIGN(const std::vector<HostPid> pids,
             runtime::container_processes(root, arguments->front()));
  std::string text;
  if (format == "json") {
    json::Writer writer(text);
    writer.begin_array();
    for (const HostPid pid : pids) writer.integer(pid.value());
    writer.end_array();
    text += "\n";
  } else {
    text = process_table(pids);
  }
  TRY(print(text));
  return 0;
}

}  // namespace

constexpr Command kPsCommand{
    .name = "ps",
    .arguments = "CONTAINER",
    .summary = "List the processes of a container",
    .description =
        "The pids are the host's.\n\n"
        "Examples:\n"
        "  bulkhead-runtime ps web\n"
        "  bulkhead-runtime ps --format json web\n",
    .run = ps,
};

}  // namespace bulkhead::cli
