// bulkhead: runs containers behind every layer of isolation that the kernel has. This file: the
// global options, and which command it is.
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/options.h"
#include "supervise/detach.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

constexpr std::array kCommands{
    &kRunCommand,      &kCreateCommand,    &kStartCommand,   &kStopCommand,   &kRestartCommand,
    &kKillCommand,     &kPauseCommand,     &kUnpauseCommand, &kWaitCommand,   &kPsCommand,
    &kRmCommand,       &kExecCommand,      &kAttachCommand,  &kLogsCommand,   &kInspectCommand,
    &kRenameCommand,   &kTopCommand,       &kStatsCommand,   &kCpCommand,     &kEventsCommand,
    &kUpdateCommand,   &kContainerCommand, &kPullCommand,    &kPushCommand,   &kLoginCommand,
    &kLogoutCommand,   &kImagesCommand,    &kImageCommand,   &kTagCommand,    &kRmiCommand,
    &kHistoryCommand,  &kSaveCommand,      &kLoadCommand,    &kImportCommand, &kVolumeCommand,
    &kExplainCommand,  &kSystemCommand,    &kPolicyCommand,  &kInfoCommand,   &kVersionCommand,
    &kGenerateCommand, &kCompletionCommand};

}  // namespace

void print_error(const Error& error) {
  std::string text = "bulkhead: " + error.message() + "\n";
  if (!error.hint().empty()) text += "  " + error.hint() + "\n";
  (void)write_all(STDERR_FILENO, text.data(), text.size());
}

namespace {

int exit_code_of(const Error& error, int failure) {
  if (error.kind() == ErrorKind::kCommandNotFound) return kNotFound;
  if (error.kind() == ErrorKind::kCommandNotExecutable) return kNotExecutable;
  return error.kind() == ErrorKind::kUsage ? kEngineFailure : failure;
}

std::string overview(std::span<const Option> options) {
  std::string text =
      "bulkhead runs containers behind every layer of isolation that the kernel has.\n\n"
      "Usage: bulkhead [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n";
  for (const Command* command : kCommands) {
    std::string line = "  " + std::string(command->name);
    line.append(line.size() < 14 ? 14 - line.size() : 1, ' ').append(command->summary);
    text += line + "\n";
  }
  return text + "\nOptions:\n" + describe(options) +
         "\nExamples:\n"
         "  bulkhead run --rm -it busybox\n"
         "  bulkhead explain run busybox\n"
         "\nbulkhead COMMAND --help says more about each command.\n";
}

std::unexpected<Error> no_such_command(const std::string& name) {
  const auto of_docker = std::ranges::find(docker_commands(), name, &Unsupported::name);
  if (of_docker != docker_commands().end())
    return fail(ErrorKind::kUsage,
                "the command " + name + " is not supported: " + std::string(of_docker->why),
                std::string(of_docker->instead));
  return fail(ErrorKind::kUsage, "there is no command " + quoted(name),
              "bulkhead --help lists the commands");
}

// The options before the command; what comes after it is the command's own.
Result<int> dispatch(std::span<const std::string_view> words) {
  Invocation invocation;
  bool version = false;
  const Option options[] = {
      {"root", 0, &invocation.store.root, "DIR",
       "where images and containers are kept (/var/lib/bulkhead)", ValueKind::kDirectory},
      {"runroot", 0, &invocation.store.runroot, "DIR",
       "where running containers are remembered (/run/bulkhead)", ValueKind::kDirectory},
      {"version", 0, &version, "", "print the version"},
  };
  TRY_ASSIGN(const Words global, parse({options}, words, Positionals::kEndOptions));
  if (version) {
    print("bulkhead " BULKHEAD_VERSION "\n");
    return 0;
  }
  if (global.positional.empty() || global.help || global.positional.front() == "help") {
    print(overview(options));
    return global.positional.empty() && !global.help ? kEngineFailure : 0;
  }
  const auto found = std::ranges::find(kCommands, global.positional.front(),
                                       [](const Command* command) { return command->name; });
  if (found == kCommands.end()) return no_such_command(global.positional.front());
  const std::vector<std::string_view> rest(global.positional.begin() + 1, global.positional.end());
  invocation.words = rest;
  auto code = (*found)->run(invocation);
  if (code) return code;
  print_error(code.error());
  return exit_code_of(code.error(), (*found)->failure);
}

}  // namespace

std::span<const Command* const> commands() { return kCommands; }

void print(std::string_view text) { (void)write_all(STDOUT_FILENO, text.data(), text.size()); }

void print_warning(const std::string& text) {
  const std::string line = "bulkhead: warning: " + text + "\n";
  (void)write_all(STDERR_FILENO, line.data(), line.size());
}

}  // namespace bulkhead::cli::engine

int main(int count, char** words) {
  using namespace bulkhead::cli::engine;
  bulkhead::supervise::remember_arguments(count, words);
  const std::vector<std::string_view> given(words + 1, words + count);
  const auto code = dispatch(given);
  if (code) return *code;
  print_error(code.error());
  return exit_code_of(code.error(), kEngineFailure);
}
