// `bulkhead image`: the commands on images under Docker's newer names.
#include <algorithm>
#include <array>

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/options.h"

namespace bulkhead::cli::engine {
namespace {

struct Subcommand {
  std::string_view name;
  const Command* command;
};

constexpr std::array kSubcommands{
    Subcommand{"history", &kHistoryCommand},
    Subcommand{"import", &kImportCommand},
    Subcommand{"inspect", &kImageInspectCommand},
    Subcommand{"load", &kLoadCommand},
    Subcommand{"ls", &kImagesCommand},
    Subcommand{"outdated", &kOutdatedCommand},
    Subcommand{"prune", &kImagePruneCommand},
    Subcommand{"pull", &kPullCommand},
    Subcommand{"push", &kPushCommand},
    Subcommand{"rm", &kRmiCommand},
    Subcommand{"save", &kSaveCommand},
    Subcommand{"tag", &kTagCommand},
};

std::string help() {
  std::string text =
      "Usage: bulkhead image COMMAND\n\nThe commands on images of the store.\n\nCommands:\n";
  for (const Subcommand& each : kSubcommands) {
    std::string line = "  " + std::string(each.name);
    line.append(line.size() < 14 ? 14 - line.size() : 1, ' ').append(each.command->summary);
    text += line + "\n";
  }
  return text + "\nbulkhead image COMMAND --help says more about each.\n";
}

Result<int> image(const Invocation& invocation) {
  TRY_ASSIGN(const Words words,
             parse({}, invocation.words.first(std::min<std::size_t>(1, invocation.words.size())),
                   Positionals::kEndOptions));
  if (words.help) {
    print(help());
    return 0;
  }
  if (words.positional.empty())
    return fail(ErrorKind::kUsage, "say what to do: bulkhead image COMMAND",
                "bulkhead image --help lists the commands");
  const auto found = std::ranges::find(kSubcommands, words.positional.front(), &Subcommand::name);
  if (found == kSubcommands.end())
    return fail(ErrorKind::kUsage, "there is no command \"image " + words.positional.front() + "\"",
                "bulkhead image --help lists the commands");
  return found->command->run({invocation.store, invocation.words.subspan(1)});
}

}  // namespace

std::vector<std::string_view> image_subcommands() {
  std::vector<std::string_view> names;
  for (const Subcommand& each : kSubcommands) names.push_back(each.name);
  return names;
}

const Command kImageCommand{"image", "COMMAND", "commands on images", image, 1};

}  // namespace bulkhead::cli::engine
