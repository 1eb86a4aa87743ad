// A command of `bulkhead`, and what it finds when it runs.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"

namespace bulkhead::cli::engine {

// Docker's exit codes for what is not the container's own: 125 from run, and from every command for a
// mistake on the command line; 1 from every other command that failed.
inline constexpr int kEngineFailure = 125;
inline constexpr int kSomeFailed = 1;
inline constexpr int kNotExecutable = 126;
inline constexpr int kNotFound = 127;

struct Invocation {
  bulkhead::engine::StoreOptions store;
  std::span<const std::string_view> words;  // after the command's name
};

struct Command {
  std::string_view name;
  std::string_view arguments;  // "[OPTIONS] IMAGE [COMMAND...]"
  std::string_view summary;
  Result<int> (*run)(const Invocation& invocation);
  // The exit code of a failure that is not one of usage.
  int failure = kEngineFailure;
  bool on_containers = false;  // also as `bulkhead container NAME`
};

extern const Command kRunCommand, kCreateCommand, kStartCommand, kStopCommand, kRestartCommand,
    kKillCommand, kPauseCommand, kUnpauseCommand, kWaitCommand, kPsCommand, kRmCommand,
    kExecCommand, kAttachCommand, kLogsCommand, kRenameCommand, kTopCommand, kStatsCommand,
    kUpdateCommand, kContainerCommand, kExplainCommand, kSystemCommand, kCompletionCommand,
    kImagesCommand, kImageCommand, kTagCommand, kRmiCommand, kHistoryCommand, kSaveCommand,
    kLoadCommand, kImportCommand, kInspectCommand, kImageInspectCommand, kImagePruneCommand,
    kCpCommand, kEventsCommand, kPullCommand, kPushCommand, kLoginCommand, kLogoutCommand,
    kOutdatedCommand, kPolicyCommand, kVolumeCommand, kInfoCommand, kVersionCommand,
    kGenerateCommand;
std::span<const Command* const> commands();
std::vector<std::string_view> image_subcommands();  // "ls", "rm", ...
std::vector<std::string_view> volume_subcommands();

// "bulkhead: warning: ..." on standard error.
void print_warning(const std::string& text);
void print_error(const Error& error);  // "bulkhead: ...", and its hint
void print(std::string_view text);     // to standard output

}  // namespace bulkhead::cli::engine
