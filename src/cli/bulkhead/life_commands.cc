// stop, restart, kill, pause, unpause, wait, rename.
#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "engine/detached.h"
#include "engine/events.h"
#include "engine/life.h"
#include "runtime/signal_name.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ListedContainer;
using bulkhead::engine::StopWish;

std::string help(std::string_view usage, std::string_view text, std::span<const Option> options) {
  std::string out = "Usage: bulkhead " + std::string(usage) + "\n\n" + std::string(text) + "\n";
  if (!options.empty()) out += "\nOptions:\n" + describe(options);
  return out;
}

Result<std::optional<std::int64_t>> read_seconds(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const auto seconds = parse_number<std::int64_t>(*text);
  if (!seconds || *seconds < -1)
    return fail(ErrorKind::kUsage,
                "--time " + quoted(*text) + ": seconds are expected, or -1 to wait for ever");
  return *seconds;
}

// The options of stop and of restart.
struct StopOptions {
  std::optional<std::string> time;
  std::optional<std::string> signal;

  std::vector<Option> table() {
    return {{"signal", 's', &signal, "SIGNAL", "what asks it to end (its own stop signal)"},
            {"time", 't', &time, "SECONDS", "how long to wait before it is killed (10)"},
            {"timeout", 0, &time}};
  }
  Result<StopWish> read() const {
    StopWish wish;
    TRY_ASSIGN(wish.seconds, read_seconds(time));
    if (signal) {
      TRY_ASSIGN(wish.signal, runtime::parse_signal(*signal));
    }
    return wish;
  }
};

Result<int> stop(const Invocation& invocation) {
  StopOptions given;
  const std::vector<Option> options = given.table();
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        help("stop [OPTIONS] CONTAINER...",
             "Ends containers: sends the stop signal (SIGTERM, or what --stop-signal or the image "
             "says),\nand SIGKILL to those that have not ended in time.",
             options));
    return 0;
  }
  TRY(want_containers(words.positional, "stop"));
  TRY_ASSIGN(const StopWish wish, given.read());
  return for_each_container(invocation, words.positional, [&](const ListedContainer& container) {
    return bulkhead::engine::stop(invocation.store, container, wish);
  });
}

Result<int> restart(const Invocation& invocation) {
  StopOptions given;
  const std::vector<Option> options = given.table();
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        help("restart [OPTIONS] CONTAINER...", "Stops containers and starts them again.", options));
    return 0;
  }
  TRY(want_containers(words.positional, "restart"));
  TRY_ASSIGN(const StopWish wish, given.read());
  return for_each_container(
      invocation, words.positional, [&](const ListedContainer& container) -> Result<void> {
        if (!container.record || container.record->remove)
          return fail(
              ErrorKind::kState,
              "container " + quoted(container.name) + " goes when it stops: it cannot be restarted",
              container.record ? "run it without --rm" : "run it with --detach");
        TRY(bulkhead::engine::stop(invocation.store, container, wish));
        TRY(bulkhead::engine::start(invocation.store, container.id, print_warning));
        bulkhead::engine::record_event(invocation.store,
                                       bulkhead::engine::EventSubject::of(container), "restart");
        return {};
      });
}

Result<int> kill(const Invocation& invocation) {
  std::string name = "KILL";
  const Option options[] = {{"signal", 's', &name, "SIGNAL", "which signal to send (KILL)"}};
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(help("kill [OPTIONS] CONTAINER...", "Sends a signal to the first process of containers.",
               options));
    return 0;
  }
  TRY(want_containers(words.positional, "kill"));
  TRY_ASSIGN(const int signal, runtime::parse_signal(name));
  return for_each_container(invocation, words.positional, [&](const ListedContainer& container) {
    return bulkhead::engine::kill(invocation.store, container, signal);
  });
}

Result<int> pause(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(help("pause CONTAINER...", "Freezes all processes of containers.", {}));
    return 0;
  }
  TRY(want_containers(words.positional, "pause"));
  return for_each_container(invocation, words.positional, [&](const ListedContainer& container) {
    return bulkhead::engine::pause(invocation.store, container);
  });
}

Result<int> unpause(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(help("unpause CONTAINER...", "Lets the processes of paused containers go on.", {}));
    return 0;
  }
  TRY(want_containers(words.positional, "unpause"));
  return for_each_container(invocation, words.positional, [&](const ListedContainer& container) {
    return bulkhead::engine::unpause(invocation.store, container);
  });
}

Result<int> wait(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(help("wait CONTAINER...",
               "Waits until containers have ended, and prints the exit code of each.", {}));
    return 0;
  }
  TRY(want_containers(words.positional, "wait"));
  int code = 0;
  for (const std::string& name : words.positional) {
    const auto container = bulkhead::engine::find(invocation.store, name);
    const auto ended = container ? bulkhead::engine::wait(invocation.store, *container)
                                 : Result<int>(std::unexpected(container.error()));
    if (ended) {
      print(std::to_string(*ended) + "\n");
    } else {
      print_error(ended.error());
      code = kSomeFailed;
    }
  }
  return code;
}

Result<int> rename(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(help("rename CONTAINER NEW_NAME", "Gives a container another name.", {}));
    return 0;
  }
  if (words.positional.size() != 2)
    return fail(ErrorKind::kUsage, "a container and its new name are expected",
                "bulkhead rename CONTAINER NEW_NAME");
  TRY_ASSIGN(const auto container,
             bulkhead::engine::find(invocation.store, words.positional.front()));
  TRY(bulkhead::engine::rename(invocation.store, container, words.positional.back()));
  return 0;
}

}  // namespace

const Command kStopCommand{"stop", "[OPTIONS] CONTAINER...", "end containers", stop, kSomeFailed,
                           true};
const Command kRestartCommand{
    "restart", "[OPTIONS] CONTAINER...", "end and start containers", restart, kSomeFailed, true};
const Command kKillCommand{
    "kill", "[OPTIONS] CONTAINER...", "send a signal to containers", kill, kSomeFailed, true};
const Command kPauseCommand{"pause", "CONTAINER...", "freeze containers", pause, kSomeFailed, true};
const Command kUnpauseCommand{"unpause", "CONTAINER...", "let frozen containers go on",
                              unpause,   kSomeFailed,    true};
const Command kWaitCommand{"wait", "CONTAINER...", "wait for the end of containers",
                           wait,   kSomeFailed,    true};
const Command kRenameCommand{"rename", "CONTAINER NEW_NAME", "give a container another name",
                             rename,   kSomeFailed,          true};

}  // namespace bulkhead::cli::engine
