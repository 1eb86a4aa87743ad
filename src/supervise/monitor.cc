#include "supervise/monitor.h"

#include <malloc.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <new>

#include "supervise/detach.h"
#include "supervise/monitor_loop.h"

namespace bulkhead::supervise {
namespace {

// After a flood, memory is given back once nothing has come for so long.
constexpr std::int64_t kQuietMilliseconds = 100;
// cgroup v1 tells that memory is short before it has killed anything.
constexpr std::int64_t kLookFor = 2000;
constexpr std::int64_t kLookEach = 20;

std::int64_t sooner(std::int64_t a, std::int64_t b) noexcept {
  if (a == kNever) return b;
  return b == kNever || a < b ? a : b;
}

alignas(Monitor) char monitor_room[sizeof(Monitor)];

}  // namespace

timespec time_of_day() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

std::int64_t milliseconds_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void Monitor::check_memory() noexcept {
  const std::uint64_t kills = container_.oom.news();
  if (kills == 0) return;
  look_until_ = kNever;
  (void)fork_off([&] {
    work_.out_of_memory(kills);
    return 0;
  });
}

void Monitor::step() noexcept {
  constexpr std::size_t kOwn = 7;
  std::array<struct pollfd, kOwn + Clients::kMost + 1> items;
  const bool reading = !owed_;
  items[0] = {signals_.get(), POLLIN, 0};
  items[1] = {launcher_ ? launcher_.get() : -1, POLLIN, 0};
  short output_events = reading ? POLLIN : 0;
  if (settings().terminal && !input_left_.empty()) output_events |= POLLOUT;
  items[2] = {output_events != 0 ? output_.get() : -1, output_events, 0};
  items[3] = {reading ? error_.get() : -1, POLLIN, 0};
  items[4] = {!input_left_.empty() && container_.input ? container_.input.get() : -1, POLLOUT, 0};
  const bool stranger = phase_ == Phase::kRunning && container_.adopted;
  items[5] = {stranger ? container_.init.get() : -1, POLLIN, 0};
  items[6] = {phase_ == Phase::kRunning ? container_.oom.get() : -1, container_.oom.events(), 0};
  const std::size_t clients = clients_.prepare(std::span(items).subspan(kOwn), input_left_.empty());
  std::int64_t wait = unflushed_ ? 0 : kNever;
  if (const std::int64_t next = sooner(deadline_, health_.due_at()); next != kNever)
    wait = sooner(wait, std::max<std::int64_t>(next - milliseconds_now(), 0));
  if (owed_) wait = sooner(wait, 1000);
  if (flooded()) wait = sooner(wait, kQuietMilliseconds);
  if (look_until_ != kNever) wait = sooner(wait, kLookEach);
  const int ready =
      ::poll(items.data(), kOwn + clients, static_cast<int>(std::min<std::int64_t>(wait, 1 << 30)));
  if (ready == 0 && unflushed_ && !owed_) {
    flush();
  } else if (ready == 0 && flooded() && !owed_) {
    output_.trim();
    error_.trim();
    if (Log* const to = log()) to->trim();
  }
  check_deadlines();
  if (look_until_ != kNever) check_memory();
  if (look_until_ != kNever && milliseconds_now() >= look_until_) look_until_ = kNever;
  if (ready <= 0) {
    if (owed_) owed_ = !clients_.deliver(milliseconds_now());
    return;
  }
  if (owed_) {
    owed_ = !clients_.deliver(milliseconds_now());
    if (!owed_)
      for (Stream* stream : {&output_, &error_}) stream->take_to(log(), time_of_day());
  }
  if (items[1].revents != 0) take_over();
  if (items[4].revents != 0 || (items[2].revents & POLLOUT) != 0) write_input();
  if (!owed_ && (items[2].revents & ~POLLOUT) != 0) pump(output_);
  if (!owed_ && items[3].revents != 0) pump(error_);
  clients_.serve(std::span(items).subspan(kOwn, clients), *this);
  if (items[6].revents != 0) {
    look_until_ = milliseconds_now() + kLookFor;
    check_memory();
  }
  if (items[0].revents != 0) reap();
  if (items[5].revents != 0) adopted_gone();
}

void Monitor::run(Fd command, Fd first_client, const sigset_t& original) noexcept {
  original_ = original;
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  launch(std::move(command));
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  signals_ = Fd(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) ::_exit(1);
  const std::array kept{signals_.get(), launcher_.get(), first_client.get()};
  if (!leave_caller(kept)) ::_exit(1);
  show_as("bulkhead-monit", "bulkhead-monitor " + plan_.id);
  // What reading the command line has used and freed.
  (void)::malloc_trim(0);
  if (first_client) clients_.adopt(std::move(first_client), plan_.first_client_streams);
  for (;;) step();
}

Result<void> start_with_monitor(Work& work, MonitorPlan plan, const Warn& warn) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  // From here on the monitor takes no signal, but its children's ends.
  sigset_t all;
  sigset_t original;
  ::sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, &original);
  const pid_t pid = ::fork();
  if (pid < 0) {
    const int error = errno;
    (void)::sigprocmask(SIG_SETMASK, &original, nullptr);
    return std::unexpected(Error(SysError{"fork", error}).within("starting the monitor"));
  }
  if (pid == 0) {
    ours.reset();
    Fd first_client = std::move(plan.first_client);
    auto* const monitor = new (monitor_room) Monitor(work, plan);
    monitor->run(std::move(theirs), std::move(first_client), original);
  }
  (void)::sigprocmask(SIG_SETMASK, &original, nullptr);
  theirs.reset();
  plan.first_client.reset();
  return wait_for_launcher(ours.get(), warn);
}

}  // namespace bulkhead::supervise
