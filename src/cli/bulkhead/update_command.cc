#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "engine/life.h"
#include "engine/wish.h"

namespace bulkhead::cli::engine {
namespace {

Result<int> update(const Invocation& invocation) {
  bulkhead::engine::RunOptions limits;
  std::optional<std::string> restart;
  const Option options[] = {
      {"memory", 'm', &limits.memory, "SIZE", "limit of memory, such as 512m; -1 for none"},
      {"memory-swap", 0, &limits.memory_swap, "SIZE",
       "limit of memory and swap together; with --memory"},
      {"memory-reservation", 0, &limits.memory_reservation, "SIZE",
       "what it is left with when memory runs out"},
      {"cpus", 0, &limits.cpus, "NUMBER", "limit of CPU time, such as 1.5"},
      {"cpu-shares", 'c', &limits.cpu_shares, "NUMBER", "weight of CPU time, 1024 is usual"},
      {"cpu-period", 0, &limits.cpu_period, "MICROSECONDS", "period of --cpu-quota"},
      {"cpu-quota", 0, &limits.cpu_quota, "MICROSECONDS",
       "CPU time in each period; -1 for no limit"},
      {"cpu-rt-period", 0, &limits.cpu_rt_period, "MICROSECONDS",
       "period of --cpu-rt-runtime (cgroup v1)"},
      {"cpu-rt-runtime", 0, &limits.cpu_rt_runtime, "MICROSECONDS",
       "real-time CPU time in each period (cgroup v1)"},
      {"cpuset-cpus", 0, &limits.cpuset_cpus, "LIST", "processors, such as 0-3,7"},
      {"cpuset-mems", 0, &limits.cpuset_mems, "LIST", "memory nodes, such as 0,1"},
      {"blkio-weight", 0, &limits.blkio_weight, "NUMBER", "weight of disk time, 10 to 1000"},
      {"pids-limit", 0, &limits.pids_limit, "NUMBER", "limit of processes; -1 for none"},
      {"restart", 0, &restart, "POLICY", "no, on-failure[:N], always or unless-stopped"},
  };
  TRY_ASSIGN(const Words words,
             parse({options, docker_options("update")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead update [OPTIONS] CONTAINER...\n\nGives containers other limits, at once "
        "and for every start to come, or another restart policy.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  TRY(want_containers(words.positional, "update"));
  TRY_ASSIGN(const bulkhead::engine::Wish wish, bulkhead::engine::read_wish(limits));
  bulkhead::engine::Update wanted;
  wanted.resources = bulkhead::engine::named_limits(wish);
  if (restart) {
    TRY_ASSIGN(wanted.restart, supervise::parse_restart_policy(*restart));
  }
  if (!restart && !wanted.changes_limits())
    return fail(ErrorKind::kUsage, "nothing is named that should change",
                "bulkhead update --help lists what can");
  return for_each_container(invocation, words.positional,
                            [&](const bulkhead::engine::ListedContainer& container) {
                              return bulkhead::engine::update(invocation.store, container, wanted);
                            });
}

}  // namespace

const Command kUpdateCommand{
    "update", "[OPTIONS] CONTAINER...", "change the limits of containers", update, kSomeFailed,
    true};

}  // namespace bulkhead::cli::engine
