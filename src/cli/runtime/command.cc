#include "cli/runtime/command.h"

#include <array>

#include "cli/runtime/output.h"
#include "runtime/record.h"

namespace bulkhead::cli {

std::span<const Command* const> commands() {
  static constexpr std::array kCommands = {
      &kCreateCommand,     &kStartCommand,  &kStateCommand,  &kKillCommand,     &kDeleteCommand,
      &kRunCommand,        &kExecCommand,   &kPsCommand,     &kListCommand,     &kPauseCommand,
      &kResumeCommand,     &kUpdateCommand, &kEventsCommand, &kFeaturesCommand, &kSpecCommand,
      &kCheckpointCommand, &kRestoreCommand};
  return kCommands;
}

Result<std::optional<std::vector<std::string_view>>> Invocation::parse(std::span<const Flag> flags,
                                                                       std::size_t least,
                                                                       std::size_t most,
                                                                       Order order) {
  TRY_ASSIGN(Parsed parsed, parse_flags(flags, words_, order));
  const std::string usage = "bulkhead-runtime " + std::string(command_.name) + " [flags] " +
                            std::string(command_.arguments);
  if (parsed.help) {
    std::string text = std::string(command_.summary) + "\n\nUsage: " + usage + "\n\n" +
                       std::string(command_.description);
    if (!flags.empty()) text.append("\nFlags:\n").append(describe_flags(flags));
    TRY(print(text));
    return std::nullopt;
  }
  if (parsed.arguments.size() < least || parsed.arguments.size() > most)
    return fail(ErrorKind::kUsage,
                std::string(parsed.arguments.size() < least ? "too few" : "too many") +
                    " arguments for \"" + std::string(command_.name) + "\"",
                "usage: " + usage);
  return std::move(parsed.arguments);
}

Result<std::string> Invocation::state_root() const {
  if (!common.state_root.empty()) return common.state_root;
  return runtime::default_state_root();
}

}  // namespace bulkhead::cli
