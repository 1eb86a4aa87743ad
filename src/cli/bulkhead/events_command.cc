#include <poll.h>

#include <algorithm>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/event_filter.h"
#include "cli/bulkhead/event_text.h"
#include "cli/bulkhead/options.h"
#include "engine/events.h"
#include "engine/times.h"
#include "events/journal.h"

#include <unistd.h>
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

using events::Event;

bool before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

timespec now() {
  timespec time{};
  (void)::clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

Result<std::optional<timespec>> read_moment(const char* flag,
                                            const std::optional<std::string>& text,
                                            const timespec& now) {
  if (!text) return std::nullopt;
  const auto moment = bulkhead::engine::parse_moment(*text, now);
  if (moment) return moment;
  return fail(ErrorKind::kUsage, std::string(flag) + " " + quoted(*text) + ": not a time",
              "give 2026-01-31T12:00:00Z, seconds since 1970, or 10m for ten minutes ago");
}

struct Wish {
  EventFilter filter;
  std::optional<timespec> since;
  std::optional<timespec> until;
  std::string format;
};

class Printer {
 public:
  explicit Printer(const Wish& wish) : wish_(wish) {}

  bool add(const Event& event) {
    if (wish_.since && before(event.time, *wish_.since)) return true;
    if (wish_.until && before(*wish_.until, event.time)) return true;
    if (!wish_.filter.matches(event)) return true;
    if (wish_.format.empty()) {
      text_ += event_line(event);
      return true;
    }
    auto text = event_text(event, wish_.format);
    if (text) {
      text_ += *text;
      return true;
    }
    failure_ = std::move(text).error();
    return false;
  }
  // False: nobody reads any more.
  Result<bool> flush() {
    const bool taken = write_all(STDOUT_FILENO, text_.data(), text_.size()).has_value();
    text_.clear();
    if (failure_) return std::unexpected(*std::move(failure_));
    return taken;
  }

 private:
  const Wish& wish_;
  std::string text_;
  std::optional<Error> failure_;
};

// Milliseconds until then; -1: for ever.
int milliseconds_until(const std::optional<timespec>& moment) {
  if (!moment) return -1;
  const timespec time = now();
  const std::int64_t left = (moment->tv_sec - time.tv_sec) * std::int64_t{1000} +
                            (moment->tv_nsec - time.tv_nsec) / 1'000'000 + 1;
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

Result<int> stream(const Invocation& invocation, Wish wish) {
  events::Journal journal(bulkhead::engine::events_directory(invocation.store));
  TRY_ASSIGN(const int notify, journal.watch());
  // Without --since, from now on.
  if (!wish.since) wish.since = wish.until ? timespec{} : now();
  Printer printer(wish);
  for (;;) {
    TRY(journal.read([&](const Event& event) { return printer.add(event); }));
    TRY_ASSIGN(const bool wanted, printer.flush());
    if (!wanted) return 0;
    const int patience = milliseconds_until(wish.until);
    if (patience == 0) return 0;
    // Also whoever reads us may go.
    struct pollfd items[] = {{notify, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
    if (::poll(items, 2, patience) < 0 && errno != EINTR)
      return std::unexpected(Error(SysError{"poll", errno}));
    if ((items[1].revents & (POLLERR | POLLHUP)) != 0) return 0;
    if (items[0].revents != 0) journal.changed();
  }
}

Result<int> events_of(const Invocation& invocation) {
  std::optional<std::string> since;
  std::optional<std::string> until;
  std::vector<std::string> filters;
  Wish wish;
  const Option options[] = {
      {"filter", 'f', &filters, "KEY=VALUE",
       "only those with this container, event, image, label, scope, type or volume"},
      {"format", 0, &wish.format, "FORMAT", "json, or a Go template"},
      {"since", 0, &since, "TIME", "also what has happened since: 2026-01-31T12:00:00Z, 10m (ago)"},
      {"until", 0, &until, "TIME", "only up to then, and end there"},
  };
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead events [OPTIONS]\n\nPrints what happens to containers, images and "
        "volumes, as it happens.\n\nOptions:\n" +
        describe(options) +
        "\nWhat has happened is kept up to about 2 MiB, until the host is restarted.\n\nExamples:\n"
        "  bulkhead events --filter event=die --format '{{.Actor.Attributes.name}} {{.Status}}'\n"
        "  bulkhead events --since 1h --until 0s --format json\n");
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "events takes no arguments");
  TRY_ASSIGN(wish.filter, EventFilter::read(filters));
  const timespec time = now();
  TRY_ASSIGN(wish.since, read_moment("--since", since, time));
  TRY_ASSIGN(wish.until, read_moment("--until", until, time));
  if (!wish.format.empty()) TRY(check_event_format(wish.format));
  return stream(invocation, std::move(wish));
}

}  // namespace

const Command kEventsCommand{"events", "[OPTIONS]", "print what happens, as it happens", events_of,
                             kEngineFailure};

}  // namespace bulkhead::cli::engine
