#include "runtime/undo.h"

#include "isolation/cgroup/resctrl.h"
#include "runtime/hooks.h"
#include "runtime/systemd_scope.h"

namespace bulkhead::runtime {

Undo::~Undo() {
  if (!directory_) return;
  (void)cgroups_.abandon();
  if (scope_) (void)stop_scope(*scope_);
  (void)isolation::remove_resctrl(resctrl_);
  (void)std::move(*directory_).remove();
  // The error that is on its way says more than theirs would.
  (void)run_all_hooks(HookStage::kPoststop, poststop_, stopped_state_);
}

void Undo::release(std::optional<ContainerDirectory>& directory, isolation::CgroupSet& cgroups) {
  directory.emplace(std::move(*directory_));
  directory_.reset();
  cgroups = std::move(cgroups_);
}

}  // namespace bulkhead::runtime
