// system start, stop and adopt.
#include "base/text.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/system_options.h"
#include "engine/adopting.h"
#include "engine/boot.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ListedContainer;

void tell(const ListedContainer& container, const Result<void>& done) {
  if (done)
    print(container.name + "\n");
  else
    print_error(Error(done.error()).within(quoted(container.name)));
}

}  // namespace

std::vector<Option> stop_options(StopOptions& options) {
  return {{"time", 't', &options.time, "SECONDS",
           "how long each may take before it is killed (its own --stop-timeout)"}};
}

Result<int> system_start(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead system start\n\nStarts the containers that a restart policy brings back "
        "when the machine is started, and prints their names:\nalways; unless-stopped, if nobody "
        "has stopped them; on-failure, if they have failed. bulkhead.service calls it.\n");
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "system start takes no arguments");
  TRY_ASSIGN(const bool all, bulkhead::engine::start_all(invocation.store, print_warning, tell));
  return all ? 0 : kSomeFailed;
}

Result<int> system_stop(const Invocation& invocation) {
  StopOptions chosen;
  const std::vector<Option> options = stop_options(chosen);
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead system stop [OPTIONS]\n\nStops all containers, at the same time, and "
        "prints their names. For their restart policies nobody has stopped\nthem: bulkhead system "
        "start brings them back. bulkhead.service calls it when the machine goes down.\n\n"
        "Options:\n" +
        describe(options));
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "system stop takes no arguments");
  std::optional<std::int64_t> seconds;
  if (chosen.time) {
    seconds = parse_number<std::int64_t>(*chosen.time);
    if (!seconds || *seconds < 0)
      return fail(ErrorKind::kUsage, "--time " + quoted(*chosen.time) + ": seconds are expected");
  }
  TRY_ASSIGN(const bool all, bulkhead::engine::stop_all(invocation.store, seconds, tell));
  return all ? 0 : kSomeFailed;
}

// For other commands alone: a process that begins anew, to become a monitor.
Result<int> system_adopt(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kAnywhere));
  if (words.positional.size() != 1)
    return fail(ErrorKind::kUsage, "the id of a container is expected");
  TRY(bulkhead::engine::adopt(invocation.store, words.positional.front(), print_warning));
  return 0;
}

}  // namespace bulkhead::cli::engine
