#include "launch/launch.h"

#include <csignal>
#include <optional>

#include "base/text.h"

namespace bulkhead::launch {
namespace {

Error to_error(const Failure& failure, std::string_view program) {
  const std::string_view layer = failure.layer;
  const std::string_view head(failure.head, failure.head_size);
  if (layer == "exec" && std::string_view(failure.call) == "exec")
    return explain_exec_failure(program, failure.error, head);
  std::string what = failure.call;
  if (failure.subject[0] != '\0') what += " " + quoted(failure.subject);
  if (failure.error == EBADE)
    return Error(ErrorKind::kSystem,
                 std::string(layer) + ": asked for, but the kernel shows otherwise: " + what,
                 "the start was refused because a layer of isolation does not hold");
  // A hook that did not succeed: its own words are the reason, and there is no errno.
  if (failure.error == ECANCELED)
    return Error(ErrorKind::kSystem, std::string(layer) + " failed: " + quoted(failure.subject));
  return Error(kind_of_errno(failure.error),
               std::string(layer) + ": " + what + ": " + errno_text(failure.error),
               missing_call_hint(failure.call, failure.error));
}

Result<void> send(const Channel& channel, MessageType type, std::span<const int> descriptors = {}) {
  auto sent = channel.send({type, 0, {}}, descriptors);
  // The child is gone: what it said before is the better error, and receive() brings it.
  if (!sent && sent.error().error != EPIPE && sent.error().error != ECONNRESET)
    return std::unexpected(Error(sent.error()).within("handshake"));
  return {};
}

Result<void> send_mounts(const Channel& channel, const std::vector<Fd>& mounts) {
  std::vector<int> numbers;
  for (const Fd& mount : mounts) {
    numbers.push_back(mount.get());
    if (numbers.size() < kMostDescriptors) continue;
    TRY(send(channel, MessageType::kMounts, numbers));
    numbers.clear();
  }
  if (!numbers.empty()) TRY(send(channel, MessageType::kMounts, numbers));
  return {};
}

Result<void> do_tasks(const Expected& expected, const Channel& channel, const PidFd& child,
                      ParentTasks& tasks) {
  if (expected.id_maps) {
    TRY(tasks.write_id_maps(child));
    TRY(send(channel, MessageType::kIdMapsWritten));
  }
  if (expected.mounts) {
    TRY_ASSIGN(const std::vector<Fd> mounts, tasks.make_mounts(child));
    TRY(send_mounts(channel, mounts));
  }
  if (expected.cgroups) {
    TRY_ASSIGN(const std::vector<int> files, tasks.make_cgroups(child));
    TRY(send(channel, MessageType::kCgroups, files));
  }
  return tasks.while_child_works(child);
}

enum class Reached { kReady, kExecuted };

// What the child's silence means: it has executed its program, or failed, or died.
Result<Reached> judge(const Outcome& outcome, std::string_view program, ParentTasks* tasks,
                      const PidFd* child) {
  switch (outcome.phase()) {
    case Phase::kExecuting: return Reached::kExecuted;
    case Phase::kFailed: return std::unexpected(to_error(outcome.failure(), program));
    case Phase::kBuilding: break;
  }
  if (tasks != nullptr) return std::unexpected(tasks->explain_death(*child));
  return fail(ErrorKind::kState, "the container's process died before it was started");
}

// Serves the child until it is ready or gone into its program. `tasks` and `child` are null for a
// container that another process made (release), which then sends its outcome first.
Result<Reached> serve(const Channel& channel, std::string_view program, Outcome& outcome,
                      DescriptorSink& sink, ParentTasks* tasks, const PidFd* child) {
  for (;;) {
    Received received;
    TRY(channel.receive(received));
    if (received.end_of_file) return judge(outcome, program, tasks, child);
    const auto take_descriptor = [&]() -> Result<Fd> {
      if (received.descriptor_count != 1)
        return fail(ErrorKind::kInternal, "handshake: a descriptor is missing");
      return std::move(received.descriptors[0]);
    };
    switch (received.message.type) {
      case MessageType::kReady: return Reached::kReady;
      case MessageType::kRootBuilt:
        if (tasks == nullptr) return fail(ErrorKind::kInternal, "handshake: out of order");
        TRY(tasks->root_built(*child));
        TRY(send(channel, MessageType::kContinue));
        break;
      case MessageType::kOutcome: {
        TRY_ASSIGN(Fd page, take_descriptor());
        TRY_ASSIGN(Outcome shared, Outcome::open(std::move(page)));
        outcome = std::move(shared);
        break;
      }
      case MessageType::kDescriptor: {
        TRY_ASSIGN(Fd descriptor, take_descriptor());
        TRY(sink.descriptor(received.message.purpose, std::move(descriptor)));
        break;
      }
      default: return fail(ErrorKind::kInternal, "handshake: unknown message from the child");
    }
  }
}

template <class AnyPlan>
Result<PidFd> launch_any(const AnyPlan& plan, const ChildInput& input, const LaunchOptions& options,
                         ParentTasks& tasks) {
  TRY_ASSIGN(Outcome outcome, Outcome::make());
  // Only `start` asks for it; no other process of ours needs to hold it.
  if (input.start_listener < 0)
    outcome.close_descriptor();
  else
    TRY(outcome.seal());
  Channel child_end;
  auto cloned = clone_child(options.clone, outcome, child_end);
  if (!cloned) return std::unexpected(tasks.explain_no_child(std::move(cloned).error()));
  if (!*cloned) child_main(plan, input, outcome, std::move(child_end));
  const PidFd& child = (*cloned)->process;
  ChildGuard guard(child);
  const Channel channel = std::move((*cloned)->parent);
  TRY(tasks.cloned(child));
  auto done = do_tasks(options.expected, channel, child, tasks);
  if (!done) {
    // A child that failed first is the cause of what we met afterwards (a pid that is gone).
    if (outcome.phase() == Phase::kFailed)
      return std::unexpected(to_error(outcome.failure(), options.program));
    return std::unexpected(std::move(done).error());
  }
  TRY(serve(channel, options.program, outcome, tasks, &tasks, &child));
  guard.dismiss();
  return std::move((*cloned)->process);
}

}  // namespace

ChildGuard::~ChildGuard() {
  if (process_ == nullptr) return;
  (void)process_->send_signal(SIGKILL);
  (void)process_->wait();
}

Result<PidFd> launch(const ContainerPlan& plan, const ChildInput& input,
                     const LaunchOptions& options, ParentTasks& tasks) {
  return launch_any(plan, input, options, tasks);
}

Result<PidFd> launch(const ExecPlan& plan, const ChildInput& input, const LaunchOptions& options,
                     ParentTasks& tasks) {
  return launch_any(plan, input, options, tasks);
}

Result<void> release(const Channel& container, std::string_view program, DescriptorSink& sink) {
  auto sent = container.send({MessageType::kStart, 0, {}});
  if (!sent) return std::unexpected(Error(sent.error()).within("starting the container"));
  // Until the container's own page arrives.
  TRY_ASSIGN(Outcome outcome, Outcome::make());
  TRY(serve(container, program, outcome, sink, nullptr, nullptr));
  return {};
}

}  // namespace bulkhead::launch
