// The container's groups as a unit of systemd, for the systemd driver: a transient scope beneath a
// slice, with the limits that systemd has properties for. What it has none for is written to the
// group's files as with the cgroupfs driver. Pure.
//
// The spec's cgroupsPath has the form "slice:prefix:name": the scope is prefix-name.scope in that
// slice. "a-b.slice" lies in "a.slice", as in systemd.slice(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/cgroup/device_policy.h"
#include "oci/spec.h"
#include "sys/dbus_message.h"

namespace bulkhead::isolation::cgroup {

struct SystemdUnit {
  std::string name;   // "libpod-ID.scope"
  std::string slice;  // "machine.slice"
  std::string path;   // beneath the manager's own group: "/machine.slice/libpod-ID.scope"
};

// An absent cgroupsPath means `default_slice` and the scope bulkhead-ID.scope.
Result<SystemdUnit> systemd_unit(std::string_view cgroups_path, std::string_view container_id,
                                 std::string_view default_slice);

// "/a.slice/a-b.slice" of "a-b.slice"; "" of "-.slice".
Result<std::string> slice_path(std::string_view slice);

enum class UnitVersion { kV1, kV2 };  // which names the manager's limits have

// The limits as properties; those that systemd has no property for are left out.
Result<std::vector<DbusProperty>> limit_properties(const oci::Resources& resources,
                                                   UnitVersion version);

// DevicePolicy=strict with a DeviceAllow for each device of the policy, so that systemd, which writes
// device lists anew when it is reloaded, writes what we would. `classes` is the text of /proc/devices.
// Nothing where systemd cannot express the policy.
std::vector<DbusProperty> device_properties(const DevicePolicy& policy, std::string_view classes);

// Annotations "org.systemd.property.NAME": the value is in GVariant's text form, such as 'text',
// true, uint64 5, ['a', 'b']. A property whose name ends in "Sec" is given in seconds and becomes
// NAMEUSec.
Result<std::vector<DbusProperty>> annotated_properties(const oci::Annotations& annotations);

// "0-3,7" as the bit array that AllowedCPUs takes.
Result<std::vector<std::uint8_t>> cpu_bits(std::string_view list, std::string_view where);

}  // namespace bulkhead::isolation::cgroup
