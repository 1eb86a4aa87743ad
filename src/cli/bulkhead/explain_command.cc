#include "cli/bulkhead/command.h"
#include "cli/bulkhead/run_options.h"
#include "engine/explain.h"

namespace bulkhead::cli::engine {
namespace {

constexpr std::string_view kHelp =
    "Usage: bulkhead explain [--format text|json] run [OPTIONS] IMAGE [COMMAND...]\n"
    "\n"
    "Prints what `bulkhead run` with the same words would do, without doing it: each layer of "
    "isolation\n"
    "in the order in which it is applied, what it stops and what not, with its settings and their\n"
    "reasons; and at the end what is not isolated.\n"
    "\n"
    "Examples:\n"
    "  bulkhead explain run --memory 512m busybox\n"
    "  bulkhead explain --format json run --network host busybox | jq '.notIsolated'\n";

Result<int> explain(const Invocation& invocation) {
  std::string format = "text";
  const Option options[] = {{"format", 0, &format, "FORMAT", "text (default) or json"}};
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kEndOptions));
  if (words.help) {
    print(kHelp);
    return 0;
  }
  if (format != "text" && format != "json")
    return fail(ErrorKind::kUsage, "--format " + format + ": text or json is expected");
  if (words.positional.empty() || words.positional.front() != "run")
    return fail(ErrorKind::kUsage,
                "say what to explain: bulkhead explain run [OPTIONS] IMAGE [COMMAND...]");
  const std::vector<std::string_view> rest(words.positional.begin() + 1, words.positional.end());
  bulkhead::engine::RunOptions run;
  run.store = invocation.store;
  TRY_ASSIGN(const bool wanted, parse_run(rest, run));
  if (!wanted) {
    print(run_help("bulkhead explain run [OPTIONS] IMAGE [COMMAND...]"));
    return 0;
  }
  TRY_ASSIGN(const bulkhead::engine::ExplainedRun explained, bulkhead::engine::explain_run(run));
  for (const std::string& warning : explained.warnings) print_warning(warning);
  print(format == "json" ? explain_as_json(explained) : explain_as_text(explained));
  return 0;
}

}  // namespace

const Command kExplainCommand{"explain", "[--format text|json] run [OPTIONS] IMAGE [COMMAND...]",
                              "print the layers of isolation that a run would get", explain};

}  // namespace bulkhead::cli::engine
