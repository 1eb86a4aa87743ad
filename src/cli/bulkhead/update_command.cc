#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "engine/life.h"
#include "engine/wish.h"

namespace bulkhead::cli::engine {
namespace {

constexpr Unsupported kUnsupported[] = {
    {"blkio-weight"},   {"cpu-period"},        {"cpu-quota"},   {"cpu-rt-period"},
    {"cpu-rt-runtime"}, {"cpu-shares", 'c'},   {"cpuset-cpus"}, {"cpuset-mems"},
    {"kernel-memory"},  {"memory-reservation"}};

Result<int> update(const Invocation& invocation) {
  bulkhead::engine::RunOptions limits;
  std::optional<std::string> restart;
  const Option options[] = {
      {"memory", 'm', &limits.memory, "SIZE", "limit of memory, such as 512m; -1 for none"},
      {"memory-swap", 0, &limits.memory_swap, "SIZE",
       "limit of memory and swap together; with --memory"},
      {"cpus", 0, &limits.cpus, "NUMBER", "limit of CPU time, such as 1.5"},
      {"pids-limit", 0, &limits.pids_limit, "NUMBER", "limit of processes; -1 for none"},
      {"restart", 0, &restart, "POLICY", "no, on-failure[:N], always or unless-stopped"},
  };
  TRY_ASSIGN(const Words words,
             parse({options, kUnsupported}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead update [OPTIONS] CONTAINER...\n\nGives containers other limits, at once "
        "and for every start to come, or another restart policy.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  TRY(want_containers(words.positional, "update"));
  TRY_ASSIGN(const bulkhead::engine::Wish wish, bulkhead::engine::read_wish(limits));
  bulkhead::engine::Update wanted{.memory = wish.memory,
                                  .memory_swap = wish.memory_swap,
                                  .cpu_thousandths = wish.cpu_thousandths,
                                  .pids = wish.pids_limit,
                                  .restart = {}};
  if (restart) {
    TRY_ASSIGN(wanted.restart, supervise::parse_restart_policy(*restart));
  }
  return for_each_container(invocation, words.positional,
                            [&](const bulkhead::engine::ListedContainer& container) {
                              return bulkhead::engine::update(invocation.store, container, wanted);
                            });
}

}  // namespace

const Command kUpdateCommand{"update", "[OPTIONS] CONTAINER...", "change the limits of containers",
                             update,   kEngineFailure,           true};

}  // namespace bulkhead::cli::engine
