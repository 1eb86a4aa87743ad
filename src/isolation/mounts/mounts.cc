#include "isolation/mounts/mounts.h"

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "isolation/mounts/mount_one.h"

namespace bulkhead::isolation {
namespace {

enum class Half { kEarly, kLate };

Result<MountsPlan> describe_half(const Request& request, const HostFacts& host, Half half) {
  if (request.joining) return MountsPlan{};
  TRY_ASSIGN(MountsPlan plan, describe_mounts(request, host));
  const auto first_cgroup =
      std::find_if(plan.mounts.begin(), plan.mounts.end(),
                   [](const MountPlan& mount) { return mount.method == MountMethod::kCgroup; });
  if (half == Half::kEarly)
    plan.mounts.erase(first_cgroup, plan.mounts.end());
  else
    plan.mounts.erase(plan.mounts.begin(), first_cgroup);
  return plan;
}

std::string in_words(const MountPlan& mount) {
  std::string text;
  switch (mount.method) {
    case MountMethod::kCgroup:
      text = "the container's own cgroups in " + std::to_string(mount.cgroups.size()) +
             (mount.cgroups.size() == 1 ? " hierarchy" : " hierarchies");
      break;
    case MountMethod::kRemount: text = "remount"; break;
    case MountMethod::kBind:
    case MountMethod::kFromParent:
      text = (mount.recursion == Recursion::kWholeTree ? "rbind of " : "bind of ") +
             quoted(mount.source);
      break;
    case MountMethod::kClassic:
    case MountMethod::kFresh: text = mount.type; break;
  }
  const auto add = [&](const std::string& words) {
    if (!words.empty()) text.append(", ").append(words);
  };
  const bool whole = mount.recursion == Recursion::kWholeTree;
  const std::string of_tree = attribute_names(mount.tree_attributes.set);
  if (!of_tree.empty()) add(whole ? "recursively " + of_tree : of_tree);
  add(attribute_names(mount.attributes.set));
  add(propagation_name(mount.tree_attributes.propagation, whole));
  add(propagation_name(mount.attributes.propagation, false));
  if (mount.idmap) add("idmapped");
  if (mount.copy_up) add("with a copy of the image's files");
  if (!mount.data.empty()) add(quoted(mount.data));
  return text;
}

std::string reason_of(const MountPlan& mount) {
  if (mount.source == "/sys" && mount.exact && mount.method == MountMethod::kBind)
    return "the user namespace does not own the network namespace that a fresh sysfs would show";
  if (mount.method == MountMethod::kFromParent) return "opened with the host's privileges";
  return {};
}

Explanation explain_half(const MountsPlan& plan, std::string_view nothing) {
  Explanation explanation;
  if (plan.mounts.empty()) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = nothing;
  }
  for (const MountPlan& mount : plan.mounts)
    explanation.facts.push_back({mount.place.absolute, in_words(mount), reason_of(mount)});
  return explanation;
}

}  // namespace

Result<MountsPlan> EarlyMounts::describe(const Request& request, const HostFacts& host) {
  return describe_half(request, host, Half::kEarly);
}
Result<MountsPlan> LateMounts::describe(const Request& request, const HostFacts& host) {
  return describe_half(request, host, Half::kLate);
}

Explanation EarlyMounts::explain(const Plan& plan) {
  return explain_half(plan, "the spec lists no mounts before the first cgroup mount");
}
Explanation LateMounts::explain(const Plan& plan) {
  return explain_half(plan, "the spec lists no cgroup mount");
}

SysResult<void> EarlyMounts::apply(const Plan& plan, ChildContext& child) noexcept {
  return apply_mounts(plan, child);
}
SysResult<void> LateMounts::apply(const Plan& plan, ChildContext& child) noexcept {
  return apply_mounts(plan, child);
}

SysResult<void> EarlyMounts::verify(const Plan& plan, ChildContext& child) noexcept {
  return verify_mounts(plan, child);
}
SysResult<void> LateMounts::verify(const Plan& plan, ChildContext& child) noexcept {
  return verify_mounts(plan, child);
}

}  // namespace bulkhead::isolation
