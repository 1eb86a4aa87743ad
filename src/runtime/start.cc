#include "runtime/start.h"

#include <unistd.h>

#include <csignal>

#include "base/text.h"
#include "isolation/seccomp/listener.h"
#include "isolation/seccomp/seccomp.h"
#include "launch/launch.h"
#include "oci/decode.h"
#include "runtime/activation.h"
#include "runtime/child_hooks.h"
#include "runtime/hooks.h"

namespace bulkhead::runtime {
namespace {

// What the container's process may still send after its start: the listener of its seccomp filter.
class StartSink final : public launch::DescriptorSink {
 public:
  StartSink(const oci::Spec& spec, const Record& record, HostPid init)
      : spec_(spec), record_(record), init_(init) {}

  Result<void> descriptor(std::string_view purpose, Fd fd) override {
    if (purpose != isolation::Seccomp::kListenerPurpose || !spec_.linux_.seccomp)
      return fail(ErrorKind::kInternal, "the container's process sent an unexpected descriptor");
    isolation::Seccomp::Plan agent;
    agent.listener_path = spec_.linux_.seccomp->listener_path;
    agent.listener_metadata = spec_.linux_.seccomp->listener_metadata;
    return isolation::hand_over_listener(agent, state_of(record_, oci::Status::kRunning, init_),
                                         std::move(fd));
  }

 private:
  const oci::Spec& spec_;
  const Record& record_;
  HostPid init_;
};

}  // namespace

Result<void> run_poststart_hooks(const oci::Spec& spec, const Record& record, HostPid init) {
  if (!spec.hooks || spec.hooks->poststart.empty()) return {};
  return run_hooks(HookStage::kPoststart, spec.hooks->poststart,
                   oci::encode(state_of(record, oci::Status::kRunning, init)));
}

Result<void> start_container(const CommonOptions& options, const std::string& id) {
  TRY_ASSIGN(const ContainerDirectory directory,
             ContainerDirectory::open_locked(options.state_root, id));
  TRY_ASSIGN(const Record record, directory.read_record());
  TRY_ASSIGN(const Observation observed, directory.observe(record));
  if (observed.status == Status::kStopped)
    return fail(ErrorKind::kState, "cannot start a container that has stopped",
                "delete it and create it anew");
  if (observed.status != Status::kCreated)
    return fail(ErrorKind::kState, "cannot start a container in the " +
                                       std::string(name_of(observed.status)) + " state");
  TRY_ASSIGN(const std::string config, directory.read_config());
  TRY_ASSIGN(const oci::Spec spec, oci::decode_spec(config));
  TRY_ASSIGN(const PidFd init, ContainerDirectory::hold(observed.init));
  TRY_ASSIGN(const NotifyRelay relay, NotifyRelay::listen(directory));

  auto socket = directory.connect_start_socket();
  if (!socket)
    return std::unexpected(Error(socket.error()).within("reaching the container's process"));
  const launch::Channel container{std::move(*socket)};
  StartSink sink(spec, record, init.pid());
  auto released = launch::release(container, spec.process->args[0], sink);
  // Whether it runs or has failed: it waits no more.
  TRY(directory.remove_start_socket());
  if (!released) {
    // It may have executed its program all the same, without the seccomp agent that it was to have.
    (void)init.send_signal(SIGKILL);
    return std::unexpected(std::move(released).error());
  }

  isolation::Seccomp::Plan seccomp;
  seccomp.enabled = spec.linux_.seccomp.has_value();
  const auto guarded = isolation::Seccomp::verify_in_parent(seccomp, init);
  // What follows may take for ever, and nothing is changed any more.
  directory.unlock();
  auto hooks = guarded ? run_poststart_hooks(spec, record, init.pid())
                       : Result<void>(std::unexpected(Error(guarded.error()).within("seccomp")));
  if (!hooks) {
    (void)init.send_signal(SIGKILL);
    return hooks;
  }
  if (!relay) return {};
  return relay.wait_until_ready(init);
}

}  // namespace bulkhead::runtime
