#include "isolation/cgroup/cgroup.h"

#include <algorithm>

#include "base/text.h"
#include "isolation/cgroup/paths.h"
#include "isolation/cgroup/settings.h"

namespace bulkhead::isolation {
namespace {

using cgroup::ControllerHomes;
using cgroup::ControllerSettings;
using cgroup::Moment;

std::string join(const std::vector<std::string>& parts, char separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text.push_back(separator);
    text.append(part);
  }
  return text;
}

bool offers(const CgroupHierarchy& hierarchy, std::string_view controller) {
  return std::find(hierarchy.controllers.begin(), hierarchy.controllers.end(), controller) !=
         hierarchy.controllers.end();
}

ControllerHomes homes_of(const HostFacts& host) {
  ControllerHomes homes;
  for (const CgroupHierarchy& hierarchy : host.cgroups)
    for (const std::string& controller : hierarchy.controllers)
      homes.all.emplace_back(controller, hierarchy.v2 ? CgroupVersion::kV2 : CgroupVersion::kV1);
  return homes;
}

// "/" and "/a" make "/a"; "/a" and "/b" make "/a/b".
std::string beneath(std::string_view parent, std::string_view path) {
  std::string result(parent == "/" ? "" : parent);
  return result.append(path);
}

CgroupGroup group_of(const CgroupHierarchy& hierarchy, const cgroup::GroupPath& where,
                     const HostFacts& host) {
  CgroupGroup group;
  group.version = hierarchy.v2 ? CgroupVersion::kV2 : CgroupVersion::kV1;
  if (!hierarchy.v2) group.controllers = join(hierarchy.controllers, ',');
  group.mount_point = hierarchy.mount_point;
  std::string parent;
  if (where.beneath_parent) {
    const std::string& delegated =
        hierarchy.delegated_path.empty() ? hierarchy.own_path : hierarchy.delegated_path;
    parent = beneath(host.privileged() ? "/" : delegated, cgroup::kRuntimeParent);
  }
  group.path = parent + where.path;
  group.directory = beneath(hierarchy.mount_point, group.path);
  group.membership = group.directory + (hierarchy.v2 ? "/cgroup.procs" : "/tasks");
  group.proc_entry = group.controllers + ":" + beneath(hierarchy.mount_root, group.path);
  group.stay_entry = group.controllers + ":" + beneath(hierarchy.mount_root, hierarchy.own_path);
  return group;
}

bool has_own_namespace(const oci::Spec& spec) {
  return std::any_of(spec.linux_.namespaces.begin(), spec.linux_.namespaces.end(),
                     [](const oci::Namespace& ns) {
                       return ns.type == oci::NamespaceType::kCgroup && ns.path.empty();
                     });
}

// The specification's condition for giving the group to the container's own root: a cgroup
// namespace of its own, and the hierarchy mounted in it for writing.
bool wants_delegation(const oci::Spec& spec) {
  if (!has_own_namespace(spec)) return false;
  bool writable = false;
  for (const oci::Mount& mount : spec.mounts)
    if (mount.destination == "/sys/fs/cgroup" &&
        (mount.type == "cgroup" || mount.type == "cgroup2" || mount.source == "cgroup"))
      writable = std::find(mount.options.begin(), mount.options.end(), "ro") == mount.options.end();
  return writable;
}

std::optional<HostUid> host_uid(const oci::Spec& spec, ContainerUid uid) {
  for (const oci::IdMapping& map : spec.linux_.uid_mappings)
    if (uid.value() >= map.container_id && uid.value() - map.container_id < map.size)
      return HostUid(map.host_id + (uid.value() - map.container_id));
  return std::nullopt;
}

// --- devices ---------------------------------------------------------------------------------

void add_device_list(const cgroup::DeviceListV1& list, CgroupGroup& group) {
  constexpr const char* kWhy = "/linux/resources/devices";
  const char* base = list.allow_by_default ? "devices.allow" : "devices.deny";
  const char* other = list.allow_by_default ? "devices.deny" : "devices.allow";
  group.settings.push_back({base, "a", kWhy});
  std::string lines;
  for (const cgroup::DeviceSet& exception : list.exceptions) {
    if (!lines.empty()) lines.push_back('\n');
    lines.append(exception.text());
  }
  if (!lines.empty()) group.settings.push_back({other, std::move(lines), kWhy});
}

Result<void> describe_devices(const Request& request, const HostFacts& host,
                              CgroupLimits::Plan& plan) {
  std::span<const oci::DeviceRule> rules;
  if (request.spec.linux_.resources) rules = request.spec.linux_.resources->devices;
  TRY_ASSIGN(cgroup::DevicePolicy policy, cgroup::device_policy(rules, "/linux/resources/devices"));
  if (!host.privileged()) {
    // No node that such a process makes or reaches opens more than the host's own permissions do.
    plan.facts.push_back({"devices", "not restricted by group",
                          "without privilege on the host no device node can be made, and file "
                          "permissions alone decide over those that are there"});
    return {};
  }
  CgroupGroup* v1 = nullptr;
  CgroupGroup* v2 = nullptr;
  for (CgroupGroup& group : plan.groups) {
    if (group.version == CgroupVersion::kV2)
      v2 = &group;
    else if (group.has_controller("devices"))
      v1 = &group;
  }
  const auto list = cgroup::to_v1_list(policy);
  if (v1 != nullptr && list) {
    add_device_list(*list, *v1);
  } else if (v2 != nullptr) {
    v2->device_program = std::move(policy);
  } else if (v1 != nullptr) {
    return fail(
        ErrorKind::kUnsupported,
        "/linux/resources/devices: a rule takes devices out of an earlier, wider rule, which "
        "the cgroup v1 device list cannot express",
        "name the devices one by one, or mount a cgroup v2 hierarchy");
  } else {
    return fail(
        ErrorKind::kUnsupported,
        "/linux/resources/devices: this host mounts neither the cgroup v1 devices controller "
        "nor a cgroup v2 hierarchy",
        "mount one of them at /sys/fs/cgroup");
  }
  return {};
}

// --- limits ----------------------------------------------------------------------------------

void place(std::vector<ControllerSettings> all, std::vector<CgroupGroup>& groups) {
  for (ControllerSettings& one : all) {
    for (CgroupGroup& group : groups) {
      if (group.version != one.version) continue;
      if (one.version == CgroupVersion::kV1 && !group.has_controller(one.controller)) continue;
      if (one.version == CgroupVersion::kV2 && one.controller != "cgroup" &&
          std::find(group.needed_controllers.begin(), group.needed_controllers.end(),
                    one.controller) == group.needed_controllers.end())
        group.needed_controllers.push_back(one.controller);
      std::move(one.settings.begin(), one.settings.end(), std::back_inserter(group.settings));
      break;
    }
  }
}

Result<void> describe_limits(const Request& request, const HostFacts& host,
                             CgroupLimits::Plan& plan) {
  if (!request.spec.linux_.resources) return {};
  ControllerHomes homes = homes_of(host);
  for (const CgroupGroup& group : plan.groups)
    if (group.version == CgroupVersion::kV2) homes.all.emplace_back("cgroup", CgroupVersion::kV2);
  TRY_ASSIGN(std::vector<ControllerSettings> settings,
             cgroup::resource_settings(*request.spec.linux_.resources, homes, Moment::kCreate,
                                       request.defaults.cgroup_limits ? &plan.left_out : nullptr));
  place(std::move(settings), plan.groups);
  return {};
}

// The controllers that account what `events` and results report, where cgroup v2 has them.
void want_accounting(const HostFacts& host, std::vector<CgroupGroup>& groups) {
  for (const CgroupHierarchy& hierarchy : host.cgroups) {
    if (!hierarchy.v2) continue;
    const std::vector<std::string>& needed = groups.front().needed_controllers;
    for (const char* controller : {"cpu", "io", "memory", "pids"})
      if (offers(hierarchy, controller) &&
          std::find(needed.begin(), needed.end(), controller) == needed.end())
        groups.front().wanted_controllers.emplace_back(controller);
  }
}

Result<CgroupLimits::Plan> without_groups(const Request& request) {
  CgroupLimits::Plan plan;
  plan.standing = Standing::kOpened;
  plan.reason =
      "the caller switched control groups off: the container stays in its caller's groups, "
      "without limits of its own";
  if (!request.spec.linux_.resources) return plan;
  // To see what was asked for: every controller has a home.
  oci::Resources asked = *request.spec.linux_.resources;
  std::vector<Fact> unmet;
  TRY_ASSIGN(const auto none, cgroup::resource_settings(asked, {}, Moment::kCreate, &unmet));
  if (unmet.empty()) return plan;
  if (!request.defaults.cgroup_limits)
    return fail(
        ErrorKind::kInvalid,
        unmet.front().value + ": a limit was asked for, but control groups are switched off",
        "leave out the limit, or choose the cgroupfs driver");
  for (Fact& fact : unmet) fact.why = "control groups are switched off";
  plan.left_out = std::move(unmet);
  return plan;
}

// The scope, with the limits that systemd would else put back to its own defaults when it is reloaded.
Result<void> describe_unit(const Request& request, const HostFacts& host,
                           CgroupLimits::Plan& plan) {
  if (!host.systemd)
    return fail(ErrorKind::kUnsupported, "the systemd cgroup driver needs a systemd to talk to",
                "use the cgroupfs driver (leave out --systemd-cgroup)");
  TRY_ASSIGN(plan.unit, cgroup::systemd_unit(request.spec.linux_.cgroups_path, request.container_id,
                                             host.systemd->default_slice));
  const bool v1 = std::any_of(host.cgroups.begin(), host.cgroups.end(), [](const auto& hierarchy) {
    return !hierarchy.v2 && offers(hierarchy, "memory");
  });
  const oci::Resources none;
  const oci::Resources& resources =
      request.spec.linux_.resources ? *request.spec.linux_.resources : none;
  TRY_ASSIGN(plan.unit_properties,
             cgroup::limit_properties(resources,
                                      v1 ? cgroup::UnitVersion::kV1 : cgroup::UnitVersion::kV2));
  const auto append = [&](std::vector<DbusProperty> more) {
    std::move(more.begin(), more.end(), std::back_inserter(plan.unit_properties));
  };
  if (host.privileged()) {
    TRY_ASSIGN(const cgroup::DevicePolicy policy,
               cgroup::device_policy(resources.devices, "/linux/resources/devices"));
    append(cgroup::device_properties(policy, host.systemd->device_classes));
  }
  TRY_ASSIGN(std::vector<DbusProperty> annotated,
             cgroup::annotated_properties(request.spec.annotations));
  append(std::move(annotated));
  return {};
}

}  // namespace

bool CgroupGroup::has_controller(std::string_view controller) const {
  if (version == CgroupVersion::kV2) return false;
  std::string_view rest = controllers;
  while (!rest.empty())
    if (next_field(rest, ',') == controller) return true;
  return false;
}

Result<CgroupLimits::Plan> CgroupLimits::describe(const Request& request, const HostFacts& host) {
  if (request.joining) {
    Plan plan;
    plan.standing = Standing::kNotApplicable;
    plan.reason = "the container's groups are joined, not made";
    return plan;
  }
  if (request.cgroup_driver == CgroupDriver::kDisabled) return without_groups(request);
  Plan plan;
  cgroup::GroupPath where;
  if (request.cgroup_driver == CgroupDriver::kSystemd) {
    TRY(describe_unit(request, host, plan));
    where.path = host.systemd->root + plan.unit->path;
  } else {
    TRY_ASSIGN(where, cgroup::group_path(request.spec.linux_.cgroups_path, request.container_id));
  }
  // The v2 group first: it is made before the child, which is cloned into it.
  for (const bool v2 : {true, false})
    for (const CgroupHierarchy& hierarchy : host.cgroups)
      if (hierarchy.v2 == v2) plan.groups.push_back(group_of(hierarchy, where, host));
  TRY(describe_limits(request, host, plan));
  if (plan.groups.empty()) {
    plan.standing = Standing::kNotApplicable;
    plan.reason = "no cgroup hierarchy is mounted on this host";
    if (!host.privileged()) return plan;
  }
  TRY(describe_devices(request, host, plan));
  want_accounting(host, plan.groups);
  for (CgroupGroup& group : plan.groups)
    group.may_stay =
        !host.privileged() && (group.settings.empty() || request.defaults.cgroup_limits);
  if (wants_delegation(request.spec) && !request.spec.linux_.uid_mappings.empty())
    plan.delegate_to = host_uid(request.spec, ContainerUid(0));
  return plan;
}

Explanation CgroupLimits::explain(const Plan& plan) {
  Explanation explanation{plan.standing, plan.reason, {}};
  if (plan.unit)
    explanation.facts.push_back({"systemd scope", plan.unit->name, "in " + plan.unit->slice});
  for (const CgroupGroup& group : plan.groups) {
    explanation.facts.push_back(
        {group.name(), group.directory,
         group.may_stay ? "stays in the caller's group where none can be made" : ""});
    for (const CgroupSetting& setting : group.settings) {
      std::string value = setting.value;
      std::replace(value.begin(), value.end(), '\n', ',');
      explanation.facts.push_back({setting.file, std::move(value), setting.why});
    }
    if (group.device_program) {
      std::string rules;
      for (const cgroup::DevicePolicyRule& rule : group.device_program->rules)
        rules.append(rules.empty() ? "" : ",")
            .append(rule.allow ? "allow " : "deny ")
            .append(rule.devices.text());
      explanation.facts.push_back({"device program", std::move(rules), "/linux/resources/devices"});
    }
  }
  explanation.facts.insert(explanation.facts.end(), plan.facts.begin(), plan.facts.end());
  for (const Fact& fact : plan.left_out)
    explanation.facts.push_back({fact.name + " (left out)", fact.value, fact.why});
  return explanation;
}

}  // namespace bulkhead::isolation
