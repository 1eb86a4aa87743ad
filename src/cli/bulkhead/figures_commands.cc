// top and stats.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/listing.h"
#include "cli/bulkhead/options.h"
#include "cli/bulkhead/table.h"
#include "engine/figures.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::Figures;
using bulkhead::engine::ListedContainer;
using bulkhead::engine::ProcessLine;

std::string time_text(std::int64_t started) {
  struct tm local{};
  const std::time_t then = started;
  char text[16];
  ::gmtime_r(&then, &local);
  const bool today = std::time(nullptr) - started < 86'400;
  return std::strftime(text, sizeof text, today ? "%H:%M" : "%b%d", &local) != 0 ? text : "?";
}

std::string seconds_text(std::uint64_t seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%02llu:%02llu:%02llu",
                static_cast<unsigned long long>(seconds / 3600),
                static_cast<unsigned long long>(seconds / 60 % 60),
                static_cast<unsigned long long>(seconds % 60));
  return text;
}

Result<int> top(const Invocation& invocation) {
  TRY_ASSIGN(const Words words, parse({}, invocation.words, Positionals::kEndOptions));
  if (words.help) {
    print(
        "Usage: bulkhead top CONTAINER\n\nLists the processes of a container as the host sees "
        "them: ids of users and processes are the\nhost's, times are UTC.\n");
    return 0;
  }
  if (words.positional.size() > 1)
    return fail(ErrorKind::kUnsupported, "top takes no options of ps",
                "the pids are the host's: ps -o ... -p PID shows more");
  TRY(want_containers(words.positional, "top"));
  const auto container = bulkhead::engine::find(invocation.store, words.positional.front());
  const auto lines = container ? bulkhead::engine::processes_of(invocation.store, *container)
                               : std::unexpected(container.error());
  if (!lines) {
    print_error(lines.error());
    return kSomeFailed;
  }
  std::vector<TableRow> rows{{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}};
  for (const ProcessLine& line : *lines)
    rows.push_back({line.user, std::to_string(line.pid), std::to_string(line.parent),
                    std::to_string(line.cpu_percent), time_text(line.started), line.terminal,
                    seconds_text(line.cpu_seconds), printable(line.command)});
  print(as_table(rows));
  return 0;
}

// "1.5MiB" and, for bytes on a disk, "1.5MB".
std::string size_text(std::uint64_t bytes, double base, std::span<const char* const> units) {
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= base && unit + 1 < units.size()) value /= base, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%s", value, units[unit]);
  return text;
}
constexpr std::array<const char*, 5> kBinaryUnits{"B", "KiB", "MiB", "GiB", "TiB"};
constexpr std::array<const char*, 5> kDecimalUnits{"B", "kB", "MB", "GB", "TB"};

std::string percent_text(double part, double whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f%%", whole > 0 ? part * 100 / whole : 0.0);
  return text;
}

std::uint64_t limit_of(const Figures& figures) {
  const auto host = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                    static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return std::min(figures.memory_limit.value_or(host), host);
}

// Docker's words; "--" for what is not known.
std::vector<std::string> row_of(const ListedContainer& container, const Figures& before,
                                const Figures& now, bool full) {
  const std::string unknown = "--";
  std::string cpu = unknown;
  if (before.cpu_ns && now.cpu_ns && now.when > before.when)
    cpu = percent_text(static_cast<double>(*now.cpu_ns - std::min(*before.cpu_ns, *now.cpu_ns)),
                       static_cast<double>(now.when - before.when));
  std::string memory = unknown;
  std::string share = unknown;
  if (now.memory) {
    const std::uint64_t limit = limit_of(now);
    memory =
        size_text(*now.memory, 1024, kBinaryUnits) + " / " + size_text(limit, 1024, kBinaryUnits);
    share = percent_text(static_cast<double>(*now.memory), static_cast<double>(limit));
  }
  return {size_text(now.read_bytes, 1000, kDecimalUnits) + " / " +
              size_text(now.written_bytes, 1000, kDecimalUnits),
          cpu,
          full ? container.id : container.id.substr(0, 12),
          full ? container.id : container.id.substr(0, 12),
          share,
          memory,
          container.name,
          unknown,
          now.processes ? std::to_string(*now.processes) : unknown};
}

Listing listing() {
  return Listing({{"BlockIO", "BLOCK I/O"},
                  {"CPUPerc", "CPU %"},
                  {"Container", "CONTAINER"},
                  {"ID", "CONTAINER ID"},
                  {"MemPerc", "MEM %"},
                  {"MemUsage", "MEM USAGE / LIMIT"},
                  {"Name", "NAME"},
                  {"NetIO", "NET I/O"},
                  {"PIDs", "PIDS"}},
                 {"ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"});
}

constexpr int kFirstIntervalMilliseconds = 100;
constexpr int kIntervalMilliseconds = 1000;

Result<std::vector<ListedContainer>> chosen(const Invocation& invocation,
                                            std::span<const std::string> names, bool all) {
  std::vector<ListedContainer> containers;
  for (const std::string& name : names) {
    TRY_ASSIGN(auto container, bulkhead::engine::find(invocation.store, name));
    if (!bulkhead::engine::runs(container.status))
      return fail(ErrorKind::kState, "container " + quoted(name) + " is not running");
    containers.push_back(std::move(container));
  }
  if (!names.empty()) return containers;
  TRY_ASSIGN(containers, bulkhead::engine::list(invocation.store));
  if (!all)
    std::erase_if(containers,
                  [](const ListedContainer& c) { return !bulkhead::engine::runs(c.status); });
  return containers;
}

Result<int> stats(const Invocation& invocation) {
  bool no_stream = false;
  std::string format = "table";
  bool all = false;
  bool full = false;
  const Option options[] = {
      {"all", 'a', &all, "", "also containers that do not run"},
      {"format", 0, &format, "FORMAT", "table (default), json, or a Go template"},
      {"no-trunc", 0, &full, "", "show ids in full"},
      {"no-stream", 0, &no_stream, "", "print once"},
  };
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead stats [OPTIONS] [CONTAINER...]\n\nShows what containers use, from their "
        "groups' files; all that run when none is named.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  std::map<std::string, Figures> before;
  int interval = kFirstIntervalMilliseconds;
  for (bool first = true;; first = false) {
    TRY_ASSIGN(const auto containers, chosen(invocation, words.positional, all));
    std::map<std::string, Figures> now;
    Listing rows = listing();
    for (const ListedContainer& container : containers) {
      const bool alive = bulkhead::engine::runs(container.status);
      const auto figures = alive ? bulkhead::engine::figures_of(invocation.store, container)
                                 : Result<Figures>(Figures{});
      if (!figures) continue;  // it has just ended
      now[container.id] = *figures;
      const auto known = before.find(container.id);
      rows.add(
          row_of(container, known == before.end() ? Figures{} : known->second, *figures, full));
    }
    if (!first) {
      TRY_ASSIGN(const std::string text, rows.text(format));
      const bool screen = !no_stream && ::isatty(STDOUT_FILENO) != 0;
      print((screen ? "\033[2J\033[H" : "") + text);
      if (no_stream) return 0;
      interval = kIntervalMilliseconds;
    }
    before = std::move(now);
    (void)::poll(nullptr, 0, interval);
  }
}

}  // namespace

const Command kTopCommand{"top", "CONTAINER", "list the processes of a container",
                          top,   kSomeFailed, true};
const Command kStatsCommand{
    "stats", "[OPTIONS] [CONTAINER...]", "show what containers use", stats, kSomeFailed, true};

}  // namespace bulkhead::cli::engine
