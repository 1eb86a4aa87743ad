#include "engine/health_run.h"

#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "base/text.h"
#include "engine/container_record.h"
#include "engine/containers.h"
#include "engine/events.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "runtime/exec.h"
#include "runtime/record.h"
#include "storage/store.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

using supervise::Health;

// Of the group of a check's processes beneath the container's own.
constexpr std::string_view kGroup = "bulkhead-health";
constexpr int kNotRun = -1;

std::int64_t milliseconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// What a check says, as far as it is kept.
class Output {
 public:
  // The streams of whatever is started from here on.
  Result<void> take_streams() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
      return std::unexpected(Error(SysError{"pipe2", errno}));
    pipe_ = Fd(ends[0]);
    const Fd write_end(ends[1]);
    // Non-blocking is our end alone: a pipe's two ends are two descriptions.
    if (::fcntl(write_end.get(), F_SETFL, O_WRONLY) != 0)
      return std::unexpected(Error(SysError{"fcntl", errno}));
    TRY_ASSIGN(const Fd nothing, open_at(AT_FDCWD, "/dev/null", O_RDONLY));
    if (::dup2(nothing.get(), STDIN_FILENO) < 0 || ::dup2(write_end.get(), STDOUT_FILENO) < 0 ||
        ::dup2(write_end.get(), STDERR_FILENO) < 0)
      return std::unexpected(Error(SysError{"dup2", errno}));
    return {};
  }
  // The check has them now.
  void leave_streams() {
    const auto nothing = open_at(AT_FDCWD, "/dev/null", O_RDWR);
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
      if (!nothing || ::dup2(nothing->get(), stream) < 0) ::close(stream);
  }

  int get() const { return pipe_.get(); }
  // Everything that is there now; beyond the limit it is read and forgotten. Whoever writes without end
  // is not waited for: a pipe has no more than this.
  void read_some() {
    std::array<char, 4096> bytes;
    for (int rounds = 0; rounds < 64; ++rounds) {
      const ssize_t count = ::read(pipe_.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count == 0) pipe_.reset();
      if (count <= 0) return;
      const std::size_t room = kMostHealthOutput - text_.size();
      const auto size = static_cast<std::size_t>(count);
      text_.append(bytes.data(), std::min(room, size));
      cut_ = cut_ || size > room;
    }
  }
  // As text, whatever the check wrote.
  std::string take() {
    std::string text;
    for (std::string_view rest = text_; !rest.empty();) {
      const std::size_t length = utf8_length(rest);
      if (length == 0)
        text += "\xEF\xBF\xBD";
      else
        text += rest.substr(0, length);
      rest.remove_prefix(std::max<std::size_t>(length, 1));
      if (text.size() > kMostHealthOutput) break;
    }
    // Docker's mark of a cut text.
    return cut_ || text.size() > kMostHealthOutput ? cut(std::move(text)) : text;
  }

 private:
  static std::string cut(std::string text) {
    constexpr std::string_view kMark = "...";
    std::size_t end = std::min(text.size(), kMostHealthOutput - kMark.size());
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
      --end;
    return text.substr(0, end).append(kMark);
  }

  Fd pipe_;
  std::string text_;
  bool cut_ = false;
};

enum class Waited { kEnded, kTimedOut };

Waited wait_for_end(const PidFd& process, Output& output, std::int64_t deadline) {
  for (;;) {
    const std::int64_t left = deadline - milliseconds_now();
    if (left <= 0) return Waited::kTimedOut;
    std::array<struct pollfd, 2> items{{{process.get(), POLLIN, 0}, {output.get(), POLLIN, 0}}};
    (void)::poll(items.data(), items.size(),
                 static_cast<int>(std::min<std::int64_t>(left, 1 << 30)));
    if (items[1].revents != 0) output.read_some();
    if (items[0].revents != 0) return Waited::kEnded;
  }
}

bool is_running(const StoreOptions& options, const std::string& id) {
  const auto directory = runtime::ContainerDirectory::open(state_root_of(options), id);
  if (!directory) return false;
  const auto record = directory->read_record();
  if (!record) return false;
  const auto seen = directory->observe(*record);
  return seen && seen->status == runtime::Status::kRunning;
}

HealthResult run(const StoreOptions& options, const std::string& id, const HealthCheck& check) {
  HealthResult result;
  result.start = runtime::now_rfc3339();
  const std::int64_t deadline = milliseconds_now() + check.settings.timeout;
  const auto not_run = [&](const Error& error) {
    result.exit_code = kNotRun;
    result.output = error.message();
    result.end = runtime::now_rfc3339();
    return result;
  };
  runtime::ExecOptions exec;
  exec.common.state_root = state_root_of(options);
  exec.id = id;
  exec.args = check.arguments();
  Output output;
  if (auto taken = output.take_streams(); !taken) return not_run(taken.error());
  auto started = runtime::start_in_own_group(exec, kGroup);
  output.leave_streams();
  if (!started) return not_run(started.error());
  const Waited waited = wait_for_end(started->process, output, deadline);
  started->group.kill(started->process);
  const auto exit = started->process.wait();
  started->group.end(started->process);
  output.read_some();
  result.output = output.take();
  result.exit_code = exit ? exit->shell_code() : kNotRun;
  if (waited == Waited::kTimedOut) {
    result.exit_code = kNotRun;
    std::string text =
        "Health check exceeded timeout (" + std::to_string(check.settings.timeout) + "ms)";
    if (!result.output.empty()) text += ": " + result.output;
    result.output = std::move(text);
  }
  result.end = runtime::now_rfc3339();
  return result;
}

void tell_of_health(const StoreOptions& options, const storage::Store& store, const std::string& id,
                    Health health) {
  const auto container = look_at(options, store, id);
  if (container && *container)
    record_event(options, EventSubject::of(**container),
                 "health_status: " + std::string(name_of(health)));
}

}  // namespace

Health run_health_check(const StoreOptions& options, const std::string& id,
                        const HealthCheck& check, bool starting) {
  const auto store = storage::Store::open(options.root);
  if (!store) return Health::kStarting;
  const auto directory = open_container(store->get(), id);
  if (!directory) return Health::kStarting;
  const auto known = [&] {
    return read_health_record(directory->get()).value_or(std::nullopt).value_or(HealthRecord{});
  };
  if (!is_running(options, id)) return known().health;
  HealthResult result = run(options, id, check);
  // Frozen meanwhile, or ended: that says nothing about its health.
  if (!is_running(options, id)) return known().health;
  HealthRecord record = known();
  const Health before = record.health;
  add_result(record, std::move(result), check, starting);
  // On a full disk the last result stays.
  (void)write_container_file(directory->get(), kHealthFile, encode(record));
  if (record.health != before) tell_of_health(options, *store, id, record.health);
  return record.health;
}

ForegroundChecks::ForegroundChecks(const StoreOptions& options, const std::string& id,
                                   const HealthCheck& check, const sigset_t& signals)
    : options_(options), id_(id), check_(check), signals_(signals) {
  schedule_.start(check.settings, milliseconds_now());
}

ForegroundChecks::~ForegroundChecks() {
  if (!checking_) return;
  (void)checking_.send_signal(SIGKILL);
  (void)checking_.wait();
}

int ForegroundChecks::wait_milliseconds() {
  const std::int64_t due = schedule_.due_at();
  if (due == supervise::HealthSchedule::kNever) return -1;
  return static_cast<int>(std::clamp<std::int64_t>(due - milliseconds_now(), 0, 1 << 30));
}

void ForegroundChecks::begin() {
  schedule_.begun();
  const bool starting = schedule_.in_start_period(milliseconds_now());
  const pid_t pid = ::fork();
  if (pid == 0) {
    // What the terminal's keys signal is the container's.
    (void)::setsid();
    (void)::sigprocmask(SIG_SETMASK, &signals_, nullptr);
    (void)::syscall(SYS_close_range, 3U, ~0U, 0U);
    ::_exit(static_cast<int>(run_health_check(options_, id_, check_, starting)));
  }
  auto process = pid < 0 ? SysResult<PidFd>(sys_fail("fork")) : PidFd::open(HostPid(pid));
  if (process)
    checking_ = *std::move(process);
  else
    schedule_.ended(Health::kStarting, milliseconds_now());
}

void ForegroundChecks::act() {
  if (checking_ && checking_.has_exited()) {
    const auto exit = checking_.wait();
    checking_ = PidFd();
    const bool judged =
        exit && exit->signal == 0 && exit->code <= static_cast<int>(Health::kUnhealthy);
    schedule_.ended(judged ? static_cast<Health>(exit->code) : Health::kStarting,
                    milliseconds_now());
  }
  if (schedule_.is_due(milliseconds_now())) begin();
}

}  // namespace bulkhead::engine
