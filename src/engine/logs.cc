#include "engine/logs.h"

#include <poll.h>

#include <array>

#include "base/text.h"
#include "engine/detached.h"
#include "engine/journal_reader.h"
#include "engine/registry.h"
#include "engine/times.h"
#include "storage/store.h"
#include "supervise/client.h"
#include "supervise/log_reader.h"

namespace bulkhead::engine {
namespace {

bool before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

// Waits until the log may have grown. False: the container has ended, and its monitor has written all.
Result<bool> wait_for_more(supervise::LogReader& reader, int notify,
                           std::optional<supervise::MonitorClient>& monitor) {
  std::array<struct pollfd, 2> items{
      {{notify, POLLIN, 0}, {monitor ? monitor->get() : -1, POLLIN, 0}}};
  while (::poll(items.data(), items.size(), -1) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"poll", errno}));
  if (items[0].revents != 0) reader.changed();
  if (items[1].revents == 0) return true;
  TRY_ASSIGN(const auto end, monitor->read_end());
  // It is to start again, and its log to go on.
  if (end && !end->for_good) {
    TRY(monitor->ask_for_end());
    return true;
  }
  return false;
}

// Followed until its monitor says that it has ended for good, or has gone.
Result<void> logs_of_journal(const StoreOptions& options, const ListedContainer& container,
                             const LogChoices& choices, const VisitEntry& visit,
                             const std::function<void()>& pause) {
  std::optional<supervise::MonitorClient> monitor;
  if (choices.follow && runs(container.status)) {
    TRY_ASSIGN(monitor,
               supervise::MonitorClient::connect(monitor_directory(options), container.id));
    if (monitor && !monitor->ask_for_end()) monitor.reset();
  }
  return read_journal(container.id, choices, monitor ? monitor->get() : -1, visit, pause);
}

}  // namespace

Result<void> read_log_times(const std::optional<std::string>& since,
                            const std::optional<std::string>& until, LogChoices& choices) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto read = [&](const char* flag, const std::optional<std::string>& text,
                        std::optional<timespec>& out) -> Result<void> {
    if (!text) return {};
    out = parse_moment(*text, now);
    if (out) return {};
    return fail(ErrorKind::kUsage, std::string(flag) + " " + quoted(*text) + ": not a time",
                "give 2026-01-31T12:00:00Z, seconds since 1970, or 10m for ten minutes ago");
  };
  TRY(read("--since", since, choices.since));
  return read("--until", until, choices.until);
}

Result<void> logs(const StoreOptions& options, const ListedContainer& container,
                  const LogChoices& choices, const VisitEntry& visit,
                  const std::function<void()>& pause) {
  if (!container.record)
    return fail(ErrorKind::kState,
                "container " + quoted(container.name) +
                    " runs in the foreground of a bulkhead run, which has its output",
                "run it with --detach to have a log");
  if (container.record->log.driver == supervise::LogDriver::kJournald)
    return logs_of_journal(options, container, choices, visit, pause);
  if (container.record->log.driver != supervise::LogDriver::kJsonFile)
    return fail(ErrorKind::kUnsupported,
                "container " + quoted(container.name) + " was run without a log that can be read",
                "run it with --log-driver json-file");
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const Fd directory, open_container(store.get(), container.id));
  supervise::LogReader reader(directory.get());
  int notify = -1;
  std::optional<supervise::MonitorClient> monitor;
  if (choices.follow &&
      (runs(container.status) || container.status == ContainerStatus::kRestarting)) {
    // Before the first read: nothing comes between.
    TRY_ASSIGN(notify, reader.watch());
    TRY_ASSIGN(monitor,
               supervise::MonitorClient::connect(monitor_directory(options), container.id));
    // Where it has just ended, all is there.
    if (monitor && !monitor->ask_for_end()) monitor.reset();
  }
  bool enough = false;
  const auto each = [&](std::string_view line) {
    const auto entry = supervise::decode_entry(line);
    if (!entry) return true;
    const auto time = choices.since || choices.until ? parse_rfc3339(entry->time) : std::nullopt;
    if (time && choices.since && before(*time, *choices.since)) return true;
    if (time && choices.until && before(*choices.until, *time)) {
      enough = true;
      return false;
    }
    enough = !visit(*entry);
    return !enough;
  };
  TRY(reader.read(choices.tail, each));
  if (notify >= 0 && !monitor && !enough) TRY(reader.read_new(each));
  pause();
  while (monitor && !enough) {
    TRY_ASSIGN(const bool more, wait_for_more(reader, notify, monitor));
    TRY(reader.read_new(each));
    pause();
    if (!more) break;
  }
  return {};
}

}  // namespace bulkhead::engine
