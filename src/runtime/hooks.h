// Hooks: programs that the configuration wants run at certain moments of a container's life, with
// the container's state on their standard input. What a hook gets is its own args and env (nothing
// of the runtime's environment), its own process group and its own time limit.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"
#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::runtime {

enum class HookStage {
  kPrestart,
  kCreateRuntime,
  kCreateContainer,
  kStartContainer,
  kPoststart,
  kPoststop
};
std::string_view name_of(HookStage stage);  // "createRuntime"

// In the runtime's namespaces, one after the other; the first failure ends it. The error carries
// the stage, the hook's path and the last of what it wrote to its standard error. `state` is the
// state as JSON (state.h).
// When `watched`, a pidfd, ends meanwhile, the hook at work is killed, which is its failure.
Result<void> run_hooks(HookStage stage, std::span<const oci::Hook> hooks, std::string_view state,
                       int watched = -1);
// As run_hooks, but a failure does not stop the following hooks: the errors, for the log.
std::vector<Error> run_all_hooks(HookStage stage, std::span<const oci::Hook> hooks,
                                 std::string_view state);

// createContainer and startContainer hooks, laid out before clone so that the child half of a
// launch can run them: nothing is allocated or formatted afterwards.
class PreparedHooks {
 public:
  PreparedHooks() = default;
  // Copies what it needs of `hooks`. kInvalid for a path that is not absolute or a timeout <= 0.
  static Result<PreparedHooks> prepare(HookStage stage, std::span<const oci::Hook> hooks);

  bool empty() const noexcept { return entries_.empty(); }
  HookStage stage() const noexcept { return stage_; }

  // In the parent, once the pid is known: the state for the hooks' standard input. The descriptor
  // was made by prepare() (a memfd, close-on-exec) and is shared with the child through clone, so
  // this may be called after clone and before the child is told to go on.
  Result<void> write_state(std::string_view state) const;
  // The child keeps this descriptor open until the hooks have run; -1 when there are no hooks.
  int state_descriptor() const noexcept { return state_.get(); }

  // In the child. ECANCELED when a hook exited with another code than 0, died by a signal or was
  // killed for its time limit; `subject` is the hook's path and what it last said.
  SysResult<void> run() const noexcept;

 private:
  friend Result<void> run_hooks(HookStage, std::span<const oci::Hook>, std::string_view, int);
  struct Entry {
    std::string path;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::vector<char*> argv;  // into `args`
    std::vector<char*> envp;  // into `env`
    int timeout_milliseconds = -1;
  };
  static constexpr std::size_t kReportSize = 240;

  Result<void> run_entry(const Entry& entry, int watched) const;

  HookStage stage_ = HookStage::kCreateContainer;
  std::vector<Entry> entries_;
  Fd state_;
  mutable std::vector<char> report_;  // what run() has to say of a hook that failed
};

}  // namespace bulkhead::runtime
