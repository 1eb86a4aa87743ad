#include "runtime/systemd_scope.h"

#include "isolation/cgroup/systemd_manager.h"
#include "isolation/host_facts.h"

namespace bulkhead::runtime {
namespace {

using isolation::cgroup::SystemdManager;
using isolation::cgroup::UnitVersion;

bool has_scope(const Record& record) {
  return record.cgroup_driver == isolation::CgroupDriver::kSystemd &&
         !record.cgroup_directories.empty();
}

// All groups of the container end in the unit's name.
std::string unit_of(const Record& record) {
  const std::string& group = record.cgroup_directories.front();
  return group.substr(group.rfind('/') + 1);
}

Result<SystemdManager> manager() {
  TRY_ASSIGN(const isolation::HostFacts host, isolation::gather_host_facts());
  return SystemdManager::connect(host.privileged());
}

}  // namespace

Result<void> update_scope(const Record& record, const oci::Resources& resources) {
  if (!has_scope(record)) return {};
  // The v2 group, where there is one, is the first; beside v1 controllers it has none of the limits.
  const bool v2 =
      record.cgroup_directories.size() == 1 && record.cgroup_directories.front().starts_with(':');
  TRY_ASSIGN(SystemdManager systemd, manager());
  TRY_ASSIGN(
      const std::vector<DbusProperty> properties,
      isolation::cgroup::limit_properties(resources, v2 ? UnitVersion::kV2 : UnitVersion::kV1));
  return systemd.set_properties(unit_of(record), properties);
}

Result<void> stop_scope(const Record& record) {
  if (!has_scope(record)) return {};
  auto systemd = manager();
  if (!systemd && systemd.error().kind() == ErrorKind::kUnsupported) return {};
  if (!systemd) return std::unexpected(std::move(systemd).error());
  return systemd->stop(unit_of(record));
}

}  // namespace bulkhead::runtime
