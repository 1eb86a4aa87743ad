#include "base/text.h"
#include "cli/runtime/command.h"
#include "cli/runtime/output.h"
#include "json/writer.h"
#include "runtime/control.h"

namespace bulkhead::cli {
namespace {

std::string as_json(const std::vector<oci::State>& states) {
  std::string text;
  json::Writer writer(text);
  writer.begin_array();
  for (const oci::State& state : states) oci::write(writer, state);
  writer.end_array();
  return text + "\n";
}

std::string as_table(const std::vector<oci::State>& states) {
  std::vector<std::vector<std::string>> rows = {
      {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const oci::State& state : states)
    rows.push_back({state.id, std::to_string(state.pid), std::string(oci::name_of(state.status)),
                    state.bundle, state.created, state.owner});
  return table(rows);
}

Result<int> list(Invocation& invocation) {
  std::string format = "table";
  bool quiet = false;
  const std::vector<Flag> flags = {
      {"format", 'f', &format, "FORMAT", "table or json"},
      {"quiet", 'q', &quiet, "", "the ids alone"},
  };
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 0, 0));
  if (!arguments) return 0;
  if (format != "table" && format != "json")
    return fail(ErrorKind::kUsage, "invalid value " + quoted(format) + " for flag -format",
                "table or json is expected");
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY_ASSIGN(const std::vector<oci::State> states, runtime::list_containers(root));
  std::string text;
  if (quiet) {
    for (const oci::State& state : states) text += state.id + "\n";
  } else {
    text = format == "json" ? as_json(states) : as_table(states);
  }
  TRY(print(text));
  return 0;
}

}  // namespace

constexpr Command kListCommand{
    .name = "list",
    .arguments = "",
    .summary = "List the containers",
    .description =
        "Examples:\n"
        "  bulkhead-runtime list\n"
        "  bulkhead-runtime list --format json\n",
    .run = list,
};

}  // namespace bulkhead::cli
