#include "launch/child.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "launch/child_link.h"
#include "launch/host_privileges.h"
#include "sys/file.h"

namespace bulkhead::launch {
namespace {

using isolation::ChildContext;

template <class List>
struct Stage;
template <class... Ls>
struct Stage<std::tuple<Ls*...>> {
  template <class Plan>
  static void apply(const Plan& plan, ChildContext& context, const Outcome& outcome) noexcept {
    (apply_one<Ls>(plan, context, outcome), ...);
  }
  template <class Plan>
  static void verify(const Plan& plan, ChildContext& context, const Outcome& outcome) noexcept {
    (verify_one<Ls>(plan, context, outcome), ...);
  }

 private:
  // What a later layer hides from view cannot be verified at the end.
  template <class L>
  static consteval bool verified_at_once() {
    if constexpr (requires { L::kVerifyAtOnce; }) return L::kVerifyAtOnce;
    return false;
  }
  template <class L, class Plan>
  static void apply_one(const Plan& plan, ChildContext& context, const Outcome& outcome) noexcept {
    if (!plan.template has<L>()) return;
    if (const auto done = L::apply(plan.template get<L>(), context); !done)
      fail_child(outcome, L::kName, done.error());
    if constexpr (verified_at_once<L>()) check<L>(plan, context, outcome);
  }
  template <class L, class Plan>
  static void verify_one(const Plan& plan, ChildContext& context, const Outcome& outcome) noexcept {
    if constexpr (!verified_at_once<L>())
      if (plan.template has<L>()) check<L>(plan, context, outcome);
  }
  template <class L, class Plan>
  static void check(const Plan& plan, ChildContext& context, const Outcome& outcome) noexcept {
    if (const auto holds = L::verify(plan.template get<L>(), context); !holds)
      fail_child(outcome, L::kName, holds.error());
  }
};

// Nobody inside the namespaces that we enter may ptrace us or open our /proc/PID files while we hold
// descriptors of the host (CVE-2016-9962, CVE-2019-5736). execve makes the workload dumpable again.
SysResult<void> hide_from_container() noexcept {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_fail("prctl(PR_SET_DUMPABLE)");
  return {};
}

// The state of the process itself, before any layer.
SysResult<void> detach_from_caller(const ChildInput& input) noexcept {
  // If the runtime dies half way, so does the child; the end of file on the handshake covers what
  // the kernel forgets (a change of credentials clears this).
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return sys_fail("prctl(PR_SET_PDEATHSIG)");
  if (!input.dumpable_until_mapped) TRY(hide_from_container());
  if (::setsid() < 0) return sys_fail("setsid");
  // execve resets handlers but keeps ignored signals ignored and the mask as it is.
  for (int signal = 1; signal < NSIG; ++signal) {
    if ((input.ignored_signals >> (signal - 1) & 1U) == 0) continue;
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    if (::sigaction(signal, &action, nullptr) != 0) return sys_fail("sigaction");
  }
  return {};
}

// exec: first the cgroups, so that nothing that follows escapes the container's limits and the
// container's cgroup namespace is entered from within it; then all namespaces at once.
template <class Sequence>
SysResult<void> join_container(const Plan<Sequence>& plan, const ChildInput& input) noexcept {
  TRY(prepare_to_join(plan));
  for (const int file : input.cgroup_files)
    if (::write(file, "0", 1) != 1) return sys_fail("write to the container's cgroup");
  if (::setns(input.join_process, input.join_namespaces) != 0) return sys_fail("setns");
  return {};
}

// The descriptors that outlive the descriptors layer.
class Kept {
 public:
  void add(int fd) noexcept {
    if (fd >= 0 && count_ < numbers_.size()) numbers_[count_++] = fd;
  }
  std::span<const int> all() const noexcept { return std::span(numbers_).first(count_); }

 private:
  std::array<int, 8> numbers_{};
  std::size_t count_ = 0;
};

SysResult<void> unblock_signals() noexcept {
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return sys_fail("sigprocmask");
  return {};
}

// Waits for `start` to connect and to send its word. The connection then carries the last errors and
// is closed by execve.
SysResult<Channel> wait_for_start(int listener) noexcept {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR) continue;
      return sys_fail("accept4");
    }
    Channel starter{Fd(fd)};
    Received received;
    // A starter that connects and dies without a word is no start: wait for the next.
    if (starter.receive(received) && !received.end_of_file &&
        received.message.type == MessageType::kStart)
      return starter;
  }
}

// A parent that died before the line above left nobody to send the signal: its end of the handshake
// is closed then.
SysResult<void> check_parent(const Channel& parent) noexcept {
  struct pollfd item{parent.get(), 0, 0};
  if (::poll(&item, 1, 0) < 0 && errno != EINTR) return sys_fail("poll");
  if ((item.revents & (POLLHUP | POLLERR)) != 0) return sys_fail_with(EPIPE, "start");
  return {};
}

// The first bytes of the file that execve refused; empty when it cannot be read.
std::string_view read_head(const char* path, std::span<char> buffer) noexcept {
  const auto file = open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return {};
  const auto size = read_up_to(file->get(), buffer.data(), buffer.size());
  return size ? std::string_view(buffer.data(), *size) : std::string_view{};
}

template <class Sequence>
[[noreturn]] void run(const Plan<Sequence>& plan, const ChildInput& input, Outcome& outcome,
                      Channel channel) noexcept {
  ChildLink link(std::move(channel));
  const Channel& parent = link.channel();
  const auto require = [&](std::string_view what, const SysResult<void>& done) {
    if (!done) fail_child(outcome, what, done.error());
  };
  require("process", detach_from_caller(input));
  if (input.join_process >= 0) require("join", join_container(plan, input));

  ChildContext context;
  context.parent = link.functions();
  context.proc = input.proc;
  context.joined = input.joined;
  context.entered = input.entered;
  context.network = input.network;
  context.cloned_into_cgroup = input.cloned_into_cgroup;
  Kept kept;
  kept.add(parent.get());
  kept.add(input.start_listener);
  if (input.start_listener >= 0) kept.add(outcome.descriptor());
  if (input.hooks != nullptr)
    for (const int fd : input.hooks->descriptors()) kept.add(fd);
  context.keep = kept.all();
  if (!input.cgroup_files.empty()) link.preset_cgroups(input.cgroup_files);

  Stage<typename Sequence::EnterNamespaces>::apply(plan, context, outcome);
  if (input.dumpable_until_mapped) require("process", hide_from_container());
  Stage<typename Sequence::BuildRoot>::apply(plan, context, outcome);
  if (input.wait_for_runtime_hooks) {
    require("hooks", parent.send({MessageType::kRootBuilt, 0, {}}));
    require("hooks", link.wait_for(MessageType::kContinue));
  }
  if (input.hooks != nullptr) require("createContainer hook", input.hooks->run_create_container());
  Stage<typename Sequence::LeaveHost>::apply(plan, context, outcome);
  input.program->fill_home(input.uid);
  Stage<typename Sequence::GiveUpPower>::apply(plan, context, outcome);

  Stage<typename Sequence::EnterNamespaces>::verify(plan, context, outcome);
  Stage<typename Sequence::BuildRoot>::verify(plan, context, outcome);
  Stage<typename Sequence::LeaveHost>::verify(plan, context, outcome);
  Stage<typename Sequence::GiveUpPower>::verify(plan, context, outcome);

  Stage<typename Sequence::CloseDoors>::apply(plan, context, outcome);
  Stage<typename Sequence::CloseDoors>::verify(plan, context, outcome);

  const auto program = input.program->locate();
  if (!program) fail_child(outcome, "exec", program.error());

  if (input.start_listener >= 0) {
    // From here on the container lives on without the process that made it.
    if (::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) != 0)
      fail_child(outcome, "process", {"prctl(PR_SET_PDEATHSIG)", errno});
    require("handshake", parent.send({MessageType::kReady, 0, {}}));
    auto started = wait_for_start(input.start_listener);
    if (!started) fail_child(outcome, "start", started.error());
    link.switch_to(std::move(*started));
    ::close(input.start_listener);
    const int page = outcome.descriptor();
    require("start", parent.send({MessageType::kOutcome, 0, {}}, std::span(&page, 1)));
    outcome.close_descriptor();
  }
  if (input.hooks != nullptr) require("startContainer hook", input.hooks->run_start_container());
  // Set anew, because the change of identity has cleared it.
  const unsigned long death_signal = input.dies_with_parent ? SIGKILL : 0;
  if (input.start_listener < 0 && ::prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0)
    fail_child(outcome, "process", {"prctl(PR_SET_PDEATHSIG)", errno});
  require("process", check_parent(parent));
  require("process", unblock_signals());
  outcome.set_executing();
  Stage<typename Sequence::LastActs>::apply(plan, context, outcome);
  ::execve(*program, input.program->argv(), input.program->envp());
  const SysError error{"exec", errno, *program};
  char head[sizeof Failure::head];
  fail_child(outcome, "exec", error, read_head(*program, head));
}

}  // namespace

void fail_child(const Outcome& outcome, std::string_view layer, const SysError& error,
                std::string_view head) noexcept {
  outcome.set_failed(layer, error, head);
  ::_exit(1);
}

void child_main(const ContainerPlan& plan, const ChildInput& input, Outcome& outcome,
                Channel channel) noexcept {
  run<isolation::ContainerSequence>(plan, input, outcome, std::move(channel));
}

void child_main(const ExecPlan& plan, const ChildInput& input, Outcome& outcome,
                Channel channel) noexcept {
  run<isolation::ExecSequence>(plan, input, outcome, std::move(channel));
}

}  // namespace bulkhead::launch
