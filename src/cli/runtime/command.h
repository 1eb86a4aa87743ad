// A command of the runtime, and what it finds when it runs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/runtime/flags.h"
#include "cli/runtime/report.h"
#include "runtime/options.h"

namespace bulkhead::cli {

struct Command;

class Invocation {
 public:
  Invocation(const Command& command, std::span<const std::string_view> words,
             runtime::CommonOptions common_options, Report& where)
      : common(std::move(common_options)), report(where), command_(command), words_(words) {}

  // The command's arguments, when their number is right. Nothing when --help was asked for and
  // printed: the command has nothing more to do.
  Result<std::optional<std::vector<std::string_view>>> parse(std::span<const Flag> flags,
                                                             std::size_t least, std::size_t most,
                                                             Order order = Order::kAnywhere);
  // The state root, with its default filled in.
  Result<std::string> state_root() const;

  runtime::CommonOptions common;
  Report& report;

 private:
  const Command& command_;
  std::span<const std::string_view> words_;
};

struct Command {
  std::string_view name;
  std::string_view arguments;    // "CONTAINER [SIGNAL]"
  std::string_view summary;      // one line
  std::string_view description;  // of --help; what it does beyond the summary, and examples
  // The exit code.
  Result<int> (*run)(Invocation& invocation);
  // It puts a process into a container: its own binary is protected first.
  bool enters_container = false;
  int failure_code = 1;  // exec: 255, which no program of its own would give by accident
};

extern const Command kCreateCommand, kStartCommand, kStateCommand, kKillCommand, kDeleteCommand,
    kRunCommand, kExecCommand, kPsCommand, kListCommand, kPauseCommand, kResumeCommand,
    kUpdateCommand, kEventsCommand, kFeaturesCommand, kSpecCommand, kCheckpointCommand,
    kRestoreCommand;

std::span<const Command* const> commands();

// What of `arguments` is more than one, as one.
inline constexpr std::size_t kAnyNumber = static_cast<std::size_t>(-1);

}  // namespace bulkhead::cli
