#include "runtime/hooks.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/text.h"
#include "runtime/hook_output.h"
#include "runtime/hook_process.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

constexpr std::size_t kOutputKept = 1024;

std::string describe(HookStage stage, std::string_view path) {
  return std::string(name_of(stage)).append(" hook ").append(quoted(path));
}

Result<Fd> make_state_file() {
  // Memory that can be sealed: no hook can change what the next one reads.
  const int fd = ::memfd_create("container-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return std::unexpected(Error(SysError{"memfd_create", errno}));
  return Fd(fd);
}

Result<void> fill_state_file(int fd, std::string_view state) {
  TRY(write_all(fd, state.data(), state.size()));
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return std::unexpected(Error(SysError{"fcntl(F_ADD_SEALS)", errno}));
  return {};
}

// argv or envp: pointers into `strings`, with a null pointer at the end.
std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::string_view name_of(HookStage stage) {
  switch (stage) {
    case HookStage::kPrestart: return "prestart";
    case HookStage::kCreateRuntime: return "createRuntime";
    case HookStage::kCreateContainer: return "createContainer";
    case HookStage::kStartContainer: return "startContainer";
    case HookStage::kPoststart: return "poststart";
    case HookStage::kPoststop: break;
  }
  return "poststop";
}

Result<PreparedHooks> PreparedHooks::prepare(HookStage stage, std::span<const oci::Hook> hooks) {
  PreparedHooks prepared;
  prepared.stage_ = stage;
  if (hooks.empty()) return prepared;
  prepared.entries_.reserve(hooks.size());
  for (const oci::Hook& hook : hooks) {
    if (!hook.path.starts_with('/'))
      return fail(ErrorKind::kInvalid, describe(stage, hook.path) + ": the path is not absolute");
    if (hook.timeout && *hook.timeout <= 0)
      return fail(ErrorKind::kInvalid,
                  describe(stage, hook.path) + ": the timeout must be greater than zero");
    Entry& entry = prepared.entries_.emplace_back();
    entry.path = hook.path;
    entry.args = hook.args;
    if (entry.args.empty()) entry.args.push_back(hook.path);
    entry.env = hook.env;
    constexpr std::int32_t kLongest = std::numeric_limits<std::int32_t>::max() / 1000;
    if (hook.timeout) entry.timeout_milliseconds = std::min(*hook.timeout, kLongest) * 1000;
    entry.argv = pointers_to(entry.args);
    entry.envp = pointers_to(entry.env);
  }
  prepared.report_.resize(kReportSize);
  TRY_ASSIGN(prepared.state_, make_state_file());
  return prepared;
}

Result<void> PreparedHooks::write_state(std::string_view state) const {
  if (empty()) return {};
  return fill_state_file(state_.get(), state);
}

SysResult<void> PreparedHooks::run() const noexcept {
  for (const Entry& entry : entries_) {
    std::array<char, kOutputKept> output;
    const HookCommand command{entry.path.c_str(), entry.argv.data(), entry.envp.data(),
                              entry.timeout_milliseconds, state_.get()};
    const auto end = run_hook_process(command, output);
    if (!end) return sys_fail_with(end.error().error, end.error().call, entry.path.c_str());
    if (!end->timed_out && end->status.shell_code() == 0) continue;
    // In memory that was set aside before clone.
    return sys_fail_with(
        ECANCELED, "hook",
        write_report(report_, entry.path, *end, {output.data(), end->output_size}));
  }
  return {};
}

Result<void> PreparedHooks::run_entry(const Entry& entry, int watched) const {
  std::array<char, kOutputKept> output;
  const HookCommand command{entry.path.c_str(),         entry.argv.data(), entry.envp.data(),
                            entry.timeout_milliseconds, state_.get(),      watched};
  const std::string name = describe(stage_, entry.path);
  auto end = run_hook_process(command, output);
  if (!end) return std::unexpected(Error(end.error()).within(name));
  return judge_hook(name, *end, entry.timeout_milliseconds, {output.data(), end->output_size});
}

Result<void> run_hooks(HookStage stage, std::span<const oci::Hook> hooks, std::string_view state,
                       int watched) {
  TRY_ASSIGN(const PreparedHooks prepared, PreparedHooks::prepare(stage, hooks));
  TRY(prepared.write_state(state));
  for (const PreparedHooks::Entry& entry : prepared.entries_)
    TRY(prepared.run_entry(entry, watched));
  return {};
}

std::vector<Error> run_all_hooks(HookStage stage, std::span<const oci::Hook> hooks,
                                 std::string_view state) {
  std::vector<Error> errors;
  // One by one, so that a hook that cannot even be prepared does not stop the others.
  for (const oci::Hook& hook : hooks)
    if (auto done = run_hooks(stage, {&hook, 1}, state); !done)
      errors.push_back(std::move(done).error());
  return errors;
}

}  // namespace bulkhead::runtime
