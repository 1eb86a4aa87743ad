// `bulkhead policy check`: what the host's policy would say.
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/run_options.h"
#include "engine/explain.h"
#include "policy/policy.h"

namespace bulkhead::cli::engine {
namespace {

constexpr std::string_view kHelp =
    "Usage: bulkhead policy check [run [OPTIONS] IMAGE [COMMAND...]]\n"
    "\n"
    "Reads the host's policy, /etc/bulkhead/policy.json, and says whether it is in order; with a "
    "run\n"
    "command, what it has against that, without running anything. The exit code is 1 when the "
    "command\n"
    "is forbidden, and 125 when the policy cannot be read: nothing is started then.\n"
    "\n"
    "Examples:\n"
    "  bulkhead policy check\n"
    "  bulkhead policy check run --privileged busybox\n";

Result<int> check_run(const Invocation& invocation, std::span<const std::string_view> rest) {
  bulkhead::engine::RunOptions run;
  run.store = invocation.store;
  TRY_ASSIGN(const bool wanted, parse_run(rest, run));
  if (!wanted) {
    print(run_help("bulkhead policy check run [OPTIONS] IMAGE [COMMAND...]"));
    return 0;
  }
  TRY_ASSIGN(const bulkhead::engine::ExplainedRun explained, bulkhead::engine::explain_run(run));
  if (explained.forbidden.empty()) {
    print("allowed\n");
    return 0;
  }
  for (const std::string& line : explained.forbidden) print("forbidden: " + line + "\n");
  return 1;
}

Result<int> policy(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kEndOptions));
  if (words.help) {
    print(kHelp);
    return 0;
  }
  if (words.positional.empty() || words.positional[0] != "check" ||
      (words.positional.size() > 1 && words.positional[1] != "run"))
    return fail(ErrorKind::kUsage, "say what to check",
                "bulkhead policy check [run [OPTIONS] IMAGE [COMMAND...]]");
  if (words.positional.size() > 1) {
    const std::vector<std::string_view> rest(words.positional.begin() + 2, words.positional.end());
    return check_run(invocation, rest);
  }
  TRY_ASSIGN(const auto read, bulkhead::policy::read_policy());
  print(read ? "the policy is in order\n" : "there is no policy: nothing is forbidden\n");
  return 0;
}

}  // namespace

const Command kPolicyCommand{"policy", "check [run [OPTIONS] IMAGE [COMMAND...]]",
                             "say what the host's policy forbids", policy};

}  // namespace bulkhead::cli::engine
