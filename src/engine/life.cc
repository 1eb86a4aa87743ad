#include "engine/life.h"

#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/text.h"
#include "engine/detached.h"
#include "engine/ending.h"
#include "engine/events.h"
#include "engine/foreign_runtime.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "engine/values.h"
#include "runtime/control.h"
#include "runtime/record.h"
#include "runtime/signal_name.h"
#include "supervise/client.h"
#include "sys/lock.h"
#include "sys/tree.h"

namespace bulkhead::engine {
namespace {

using supervise::MonitorClient;

std::unexpected<Error> not_running(const ListedContainer& container) {
  return fail(ErrorKind::kState, "container " + quoted(container.name) + " is not running");
}

Result<std::optional<MonitorClient>> monitor_of(const StoreOptions& options,
                                                const ListedContainer& container) {
  return MonitorClient::connect(monitor_directory(options), container.id);
}

// The first process by descriptor; nothing when it is gone.
std::optional<PidFd> hold_init(const StoreOptions& options, const std::string& id) {
  const auto directory = runtime::ContainerDirectory::open(state_root_of(options), id);
  if (!directory) return std::nullopt;
  const auto init = directory->first_process();
  if (!init || !*init) return std::nullopt;
  auto process = runtime::ContainerDirectory::hold(**init);
  if (!process) return std::nullopt;
  return *std::move(process);
}

bool ends_within(const PidFd& process, std::int64_t milliseconds) {
  struct pollfd item{process.get(), POLLIN, 0};
  for (;;) {
    const int ready = ::poll(
        &item, 1,
        static_cast<int>(std::min<std::int64_t>(milliseconds < 0 ? -1 : milliseconds, 1 << 30)));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

// After the end of its first process: until whoever stood by the container has written that down and
// gone. Somebody else may have started it again by then, and stands by it as long as that one lives: so
// that the lock is tried, and not waited for.
Result<void> wait_until_settled(const StoreOptions& options, const std::string& id) {
  using namespace std::chrono_literals;
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  for (std::chrono::microseconds pause = 250us;;
       pause = std::min<std::chrono::microseconds>(2 * pause, 5ms)) {
    const auto held = hold_container(store.get(), id);
    if (held) break;
    if (held.error().kind() == ErrorKind::kNotFound) return {};
    if (held.error().kind() != ErrorKind::kState) return std::unexpected(held.error());
    const auto init = hold_init(options, id);
    if (init && !init->has_exited()) return {};
    std::this_thread::sleep_for(pause);
  }
  return repair(options, id);
}

int stop_signal_of(const ListedContainer& container) {
  if (container.stop_signal.empty()) return SIGTERM;
  return runtime::parse_signal(container.stop_signal).value_or(SIGTERM);
}

// The runtime that has made the container, where that is not our own.
std::optional<std::string> foreign(const StoreOptions& options, const ListedContainer& container) {
  return foreign_runtime_of(options.runroot, container.id);
}

Result<void> send(const StoreOptions& options, const ListedContainer& container, int signal) {
  // Before it can end of it, and its end be recorded.
  if (hold_init(options, container.id))
    record_event(options, EventSubject::of(container), "kill",
                 {{"signal", std::to_string(signal)}});
  if (const auto program = foreign(options, container)) {
    auto sent =
        call_runtime(options.runroot, *program, {"kill", container.id, std::to_string(signal)});
    const auto init = hold_init(options, container.id);
    if (!sent && (!init || init->has_exited())) return not_running(container);
    return sent;
  }
  auto sent = runtime::kill_container(state_root_of(options), container.id, signal,
                                      runtime::SignalTo::kInit);
  // It has just ended, or gone altogether.
  if (!sent &&
      (sent.error().kind() == ErrorKind::kState || sent.error().kind() == ErrorKind::kNotFound))
    return not_running(container);
  return sent;
}

}  // namespace

Result<void> stop(const StoreOptions& options, const ListedContainer& container,
                  const StopWish& wish) {
  if (!runs(container.status) && container.status != ContainerStatus::kRestarting) return {};
  TRY_ASSIGN(auto monitor, monitor_of(options, container));
  if (monitor) (void)monitor->stopping();
  if (const auto init = hold_init(options, container.id)) {
    (void)send(options, container, wish.signal.value_or(stop_signal_of(container)));
    // A frozen program could not obey.
    if (container.status == ContainerStatus::kPaused) (void)unpause(options, container);
    const std::int64_t patience = wish.seconds.value_or(container.stop_timeout);
    if (!ends_within(*init, patience < 0 ? -1 : patience * 1000)) {
      (void)send(options, container, SIGKILL);
      (void)ends_within(*init, -1);
    }
  }
  TRY(wait_until_settled(options, container.id));
  record_event(options, EventSubject::of(container), "stop");
  return {};
}

Result<void> kill(const StoreOptions& options, const ListedContainer& container, int signal) {
  if (!runs(container.status)) return not_running(container);
  const bool deadly = signal == SIGKILL;
  if (deadly || signal == stop_signal_of(container)) {
    TRY_ASSIGN(auto monitor, monitor_of(options, container));
    if (monitor) (void)monitor->stopping();
  }
  const auto init = hold_init(options, container.id);
  TRY(send(options, container, signal));
  if (!deadly || !init) return {};
  (void)ends_within(*init, -1);
  return wait_until_settled(options, container.id);
}

Result<void> pause(const StoreOptions& options, const ListedContainer& container) {
  if (container.status == ContainerStatus::kPaused)
    return fail(ErrorKind::kState, "container " + quoted(container.name) + " is already paused");
  if (!runs(container.status)) return not_running(container);
  if (const auto program = foreign(options, container)) {
    TRY(call_runtime(options.runroot, *program, {"pause", container.id}));
  } else {
    TRY(runtime::pause_container(state_root_of(options), container.id));
  }
  record_event(options, EventSubject::of(container), "pause");
  return {};
}

Result<void> unpause(const StoreOptions& options, const ListedContainer& container) {
  if (container.status != ContainerStatus::kPaused)
    return fail(ErrorKind::kState, "container " + quoted(container.name) + " is not paused");
  if (const auto program = foreign(options, container)) {
    TRY(call_runtime(options.runroot, *program, {"resume", container.id}));
  } else {
    TRY(runtime::resume_container(state_root_of(options), container.id));
  }
  record_event(options, EventSubject::of(container), "unpause");
  return {};
}

namespace {

// In the foreground of somebody's `bulkhead run`, or left alone by a monitor that was killed.
Result<int> wait_without_monitor(const StoreOptions& options, const ListedContainer& container) {
  const auto init = hold_init(options, container.id);
  if (init) {
    (void)ends_within(*init, -1);
  } else {
    // It is on its way: the lock comes free at its end.
    TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
    TRY(wait_for_container(store.get(), container.id));
  }
  TRY(wait_until_settled(options, container.id));
  if (init)
    if (const auto status = init->wait_status_of_stranger())
      return WIFSIGNALED(*status) ? 128 + WTERMSIG(*status) : WEXITSTATUS(*status);
  auto after = find(options, container.id);
  if (after && after->record) return after->life.exit_code;
  return fail(ErrorKind::kState,
              "container " + quoted(container.name) +
                  " has ended, and its exit code is known to the bulkhead run "
                  "alone that it belonged to",
              "give that one --result FILE, or run the container with --detach");
}

}  // namespace

Result<int> wait(const StoreOptions& options, const ListedContainer& container) {
  ListedContainer now = container;
  for (;;) {
    if (!runs(now.status) && now.status != ContainerStatus::kRestarting) return now.life.exit_code;
    TRY_ASSIGN(auto monitor, monitor_of(options, now));
    if (monitor) {
      // It may end while we ask.
      const bool asked = monitor->ask_for_end().has_value();
      TRY_ASSIGN(const auto notice,
                 asked ? monitor->read_end() : Result<std::optional<supervise::EndNotice>>());
      if (notice) {
        if (notice->for_good) TRY(wait_until_settled(options, now.id));
        return notice->code;
      }
    }
    // It ended before we had asked, or has no monitor.
    TRY_ASSIGN(now, find(options, now.id));
    if (runs(now.status) && !monitor) return wait_without_monitor(options, now);
  }
}

Result<void> rename(const StoreOptions& options, const ListedContainer& container,
                    const std::string& new_name) {
  if (!container.record)
    return fail(ErrorKind::kState,
                "container " + quoted(container.name) +
                    " runs in the foreground of a bulkhead run: it cannot be renamed",
                "run it with --detach");
  if (!is_container_name(new_name))
    return fail(ErrorKind::kUsage, quoted(new_name) + " is not a name for a container",
                "a letter or digit, then letters, digits and _ . - are expected");
  if (container.name == new_name)
    return fail(ErrorKind::kUsage, "it has the name " + quoted(new_name) + " already");
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY(take_name(store.get(), new_name, container.id));
  auto changed = change_record(store.get(), container.id,
                               [&](ContainerRecord& record) { record.name = new_name; });
  if (!changed) {
    (void)release_name(store.get(), new_name, container.id);
    return changed;
  }
  EventSubject subject = EventSubject::of(container);
  subject.name = new_name;
  record_event(options, subject, "rename", {{"oldName", "/" + container.name}});
  return release_name(store.get(), container.name, container.id);
}

Result<PrunedContainers> prune(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const auto containers, list(options));
  PrunedContainers pruned;
  for (const ListedContainer& container : containers) {
    if (runs(container.status) || container.status == ContainerStatus::kRestarting) continue;
    const std::string written = container_path(container.id) + "/upper";
    const auto bytes = tree_bytes_at(store.get(), written.c_str());
    // One that is being made, or has just been started, is in somebody's hands.
    if (!remove(options, container.id, Force::kNo)) continue;
    pruned.ids.push_back(container.id);
    pruned.bytes += bytes.value_or(0);
  }
  return pruned;
}

}  // namespace bulkhead::engine
