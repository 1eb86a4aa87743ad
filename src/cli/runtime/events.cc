#include <poll.h>

#include <array>
#include <ctime>
#include <limits>

#include "base/text.h"
#include "cli/runtime/command.h"
#include "cli/runtime/output.h"
#include "cli/runtime/stats_json.h"
#include "runtime/control.h"
#include "runtime/oom_watch.h"

namespace bulkhead::cli {
namespace {

// "5s", "500ms", "1m30s", or a number of seconds; milliseconds.
Result<int> parse_interval(std::string_view text) {
  const auto invalid = [&] {
    return fail(ErrorKind::kUsage, "invalid value " + quoted(text) + " for flag -interval",
                "give a time like 5s, 500ms or 1m30s");
  };
  std::uint64_t total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    const auto number = parse_number<std::uint32_t>(rest.substr(0, digits));
    if (!number) return invalid();
    rest.remove_prefix(digits);
    const std::size_t letters = std::min(rest.find_first_of("0123456789"), rest.size());
    const std::string_view unit = rest.substr(0, letters);
    rest.remove_prefix(letters);
    if (unit == "ms")
      total += *number;
    else if (unit == "s" || unit.empty())
      total += *number * std::uint64_t{1000};
    else if (unit == "m")
      total += *number * std::uint64_t{60'000};
    else if (unit == "h")
      total += *number * std::uint64_t{3'600'000};
    else
      return invalid();
  }
  if (total == 0 || total > static_cast<std::uint64_t>(std::numeric_limits<int>::max()))
    return invalid();
  return static_cast<int>(total);
}

std::int64_t now_milliseconds() {
  struct timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

// Until the container ends: its statistics in turn, and each kill by the kernel for want of memory.
Result<void> watch(const std::string& id, const isolation::CgroupSet& groups,
                   runtime::ContainerWatch& container, int interval) {
  std::int64_t next = now_milliseconds() + interval;
  for (;;) {
    std::array<struct pollfd, 2> items{{{container.init.get(), POLLIN, 0},
                                        {container.oom ? container.oom->get() : -1,
                                         container.oom ? container.oom->events() : short{0}, 0}}};
    const auto patience = static_cast<int>(std::max<std::int64_t>(next - now_milliseconds(), 0));
    const int ready = ::poll(items.data(), items.size(), patience);
    if (ready < 0 && errno != EINTR) return std::unexpected(Error(SysError{"poll", errno}));
    if (ready > 0 && items[1].revents != 0 && container.oom->happened()) TRY(print(oom_event(id)));
    if (ready > 0 && items[0].revents != 0) return {};
    if (now_milliseconds() < next) continue;
    TRY(print(stats_event(id, groups.stats())));
    next += interval;
  }
}

Result<int> events(Invocation& invocation) {
  std::string interval = "5s";
  bool stats = false;
  const std::vector<Flag> flags = {
      {"interval", 0, &interval, "TIME", "between two statistics (default 5s)"},
      {"stats", 0, &stats, "", "print the statistics once, and end"},
  };
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 1));
  if (!arguments) return 0;
  TRY_ASSIGN(const int milliseconds, parse_interval(interval));
  TRY_ASSIGN(const std::string root, invocation.state_root());
  const std::string id(arguments->front());
  TRY_ASSIGN(const isolation::CgroupSet groups, runtime::container_groups(root, id));
  if (stats) {
    TRY(print(stats_event(id, groups.stats())));
    return 0;
  }
  TRY_ASSIGN(runtime::ContainerWatch container, runtime::watch_container(root, id));
  TRY(watch(id, groups, container, milliseconds));
  return 0;
}

}  // namespace

constexpr Command kEventsCommand{
    .name = "events",
    .arguments = "CONTAINER",
    .summary = "Print what a container uses, and when memory runs out",
    .description =
        "One JSON object a line: {\"type\": \"stats\" or \"oom\", \"id\": …, \"data\": …}. Ends "
        "with\n"
        "the container.\n\n"
        "Examples:\n"
        "  bulkhead-runtime events --stats web\n"
        "  bulkhead-runtime events --interval 1s web\n",
    .run = events,
};

}  // namespace bulkhead::cli
