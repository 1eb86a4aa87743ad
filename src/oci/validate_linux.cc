#include <set>

#include "oci/enum_names.h"
#include "oci/validation.h"

namespace bulkhead::oci {
namespace {

const Namespace* find_namespace(const Linux& config, NamespaceType type) {
  for (const Namespace& entry : config.namespaces) {
    if (entry.type == type) return &entry;
  }
  return nullptr;
}

Result<void> validate_namespaces(const std::vector<Namespace>& namespaces,
                                 const json::Place& place) {
  bool seen[kNamespaceTypeCount] = {};
  for (std::size_t i = 0; i < namespaces.size(); ++i) {
    const json::Place here(place, i);
    if (std::exchange(seen[static_cast<std::size_t>(namespaces[i].type)], true)) {
      return invalid(
          json::Place(here, "type"),
          "is " + quoted(name_of(namespaces[i].type)) + ", which stands in the list already",
          "remove one of the two entries");
    }
    if (!namespaces[i].path.empty() && !is_absolute(namespaces[i].path)) {
      return invalid(json::Place(here, "path"),
                     "is " + quoted(namespaces[i].path) + ", which is not an absolute path",
                     "write a path that begins with /, or leave it out for a new namespace");
    }
  }
  return {};
}

// Sorted by the start on one side, no range may begin before the one before it has ended.
Result<void> check_overlap(const std::vector<IdMapping>& mappings, std::uint32_t IdMapping::* start,
                           std::string_view side, const json::Place& place) {
  std::vector<std::size_t> order(mappings.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return mappings[a].*start < mappings[b].*start; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const IdMapping& before = mappings[order[i - 1]];
    const IdMapping& after = mappings[order[i]];
    if (std::uint64_t{before.*start} + before.size > after.*start) {
      return invalid(json::Place(place, std::max(order[i - 1], order[i])),
                     std::string("overlaps with entry ") +
                         std::to_string(std::min(order[i - 1], order[i])) + " on the " +
                         std::string(side) + " side",
                     "give every id one counterpart only");
    }
  }
  return {};
}

Result<void> validate_user_namespace(const Linux& config, const json::Place& place) {
  if (config.uid_mappings.empty() && config.gid_mappings.empty()) return {};
  TRY(validate_id_mappings(config.uid_mappings, json::Place(place, "uidMappings")));
  TRY(validate_id_mappings(config.gid_mappings, json::Place(place, "gidMappings")));
  if (find_namespace(config, NamespaceType::kUser) != nullptr) return {};
  return invalid(json::Place(place, config.uid_mappings.empty() ? "gidMappings" : "uidMappings"),
                 "is set, but the container has no user namespace to map",
                 "add {\"type\": \"user\"} to /linux/namespaces, or remove the mappings");
}

Result<void> validate_time_offsets(const Linux& config, const json::Place& parent) {
  const json::Place place(parent, "timeOffsets");
  if (config.time_offsets.empty()) return {};
  for (const auto& [clock, offset] : config.time_offsets) {
    if (clock != "monotonic" && clock != "boottime") {
      return invalid(json::Place(place, clock), "is no clock of a time namespace",
                     "use \"monotonic\" or \"boottime\"");
    }
    if (offset.nanosecs >= 1'000'000'000) {
      return invalid(json::Place(json::Place(place, clock), "nanosecs"), "is a second or more",
                     "write less than 1000000000, and the rest as secs");
    }
  }
  const Namespace* const time = find_namespace(config, NamespaceType::kTime);
  if (time == nullptr) {
    return invalid(place, "is set, but the container has no time namespace",
                   "add {\"type\": \"time\"} to /linux/namespaces, or remove the offsets");
  }
  if (!time->path.empty()) {
    return invalid(place, "is set, but the time namespace is joined: its offsets are fixed",
                   "remove the offsets, or the path of the time namespace");
  }
  return {};
}

Result<void> validate_device(const Device& device, const json::Place& place) {
  constexpr std::int64_t kGreatestMajor = (1 << 12) - 1;
  constexpr std::int64_t kGreatestMinor = (1 << 20) - 1;
  if (device.type != "c" && device.type != "b" && device.type != "u" && device.type != "p") {
    return invalid(json::Place(place, "type"),
                   "is " + quoted(device.type, 64) + ", which is no type of device",
                   "use \"c\" or \"u\" (character), \"b\" (block) or \"p\" (named pipe)");
  }
  if (!is_absolute(device.path)) {
    return invalid(json::Place(place, "path"),
                   "is " + quoted(device.path) + ", which is not an absolute path",
                   "write the device's whole path inside the container");
  }
  if (device.type != "p" && (!device.major || !device.minor)) {
    return invalid(json::Place(place, device.major ? "minor" : "major"), "is required, but absent",
                   "write the device's number; only a named pipe has none");
  }
  if (device.major.value_or(0) < 0 || device.major.value_or(0) > kGreatestMajor ||
      device.minor.value_or(0) < 0 || device.minor.value_or(0) > kGreatestMinor) {
    return invalid(place, "has a device number that the kernel cannot have",
                   "write a major from 0 to 4095 and a minor from 0 to 1048575");
  }
  // Some writers leave the type of the file in the mode, as stat(2) returns it.
  if (device.file_mode.value_or(0) > 0177777) {
    return invalid(json::Place(place, "fileMode"), "is no mode of a file",
                   "write the permissions as a decimal number: 438 is octal 0666");
  }
  if (device.uid.value_or(ContainerUid(0)).value() == kNoId ||
      device.gid.value_or(ContainerGid(0)).value() == kNoId) {
    return invalid(place,
                   "has the owner 4294967295, which the kernel reads as \"leave it as it is\"",
                   "write ids from 0 to 4294967294");
  }
  return {};
}

Result<void> validate_net_devices(const Linux& config, const json::Place& parent) {
  const json::Place place(parent, "netDevices");
  if (config.net_devices.empty()) return {};
  std::set<std::string_view> names;
  for (const auto& [host_name, device] : config.net_devices) {
    const std::string_view name = device.name ? *device.name : std::string_view(host_name);
    if (!is_interface_name(host_name) || !is_interface_name(name)) {
      return invalid(json::Place(place, host_name),
                     "names " + quoted(is_interface_name(host_name) ? name : host_name, 64) +
                         ", which is no name of a network interface",
                     "use 1 to 15 bytes without slash, colon and blank");
    }
    if (!names.insert(name).second) {
      return invalid(json::Place(place, host_name),
                     "would be named " + quoted(name, 64) + " in the container, as another device",
                     "give every device a name of its own");
    }
  }
  if (find_namespace(config, NamespaceType::kNetwork) == nullptr) {
    return invalid(place, "is set, but the container has no network namespace to move devices to",
                   "add {\"type\": \"network\"} to /linux/namespaces, or remove the devices");
  }
  return {};
}

// A name becomes a path below /proc/sys: its first separator, dot or slash, parts the path, and the
// other one stands for a dot within a part, as sysctl(8) reads it.
bool is_sysctl_name(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@:";
  const std::size_t at = name.find_first_of("./");
  if (at == std::string_view::npos || !only(name, kAllowed)) return false;
  const char separator = name[at];
  const std::string_view dot = separator == '.' ? "/" : ".";
  const auto parts = split(name, separator);
  // Neither empty nor "." or "..", which would leave the directory.
  return std::none_of(parts.begin(), parts.end(),
                      [&](std::string_view part) { return only(part, dot); });
}

Result<void> validate_sysctls(const Linux& config, const json::Place& parent) {
  const json::Place place(parent, "sysctl");
  for (const auto& [name, value] : config.sysctl) {
    if (is_sysctl_name(name)) continue;
    return invalid(json::Place(place, name), "is no name of a kernel parameter",
                   "write it as sysctl(8) does, as in \"net.ipv4.ip_forward\"");
  }
  return {};
}

Result<void> validate_absolute_paths(const std::vector<std::string>& paths,
                                     const json::Place& place) {
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (is_absolute(paths[i])) continue;
    return invalid(json::Place(place, i),
                   "is " + quoted(paths[i]) + ", which is not an absolute path",
                   "write a path that begins with /");
  }
  return {};
}

Result<void> validate_seccomp_form(const Seccomp& seccomp, const json::Place& place) {
  if (!seccomp.listener_metadata.empty() && seccomp.listener_path.empty()) {
    return invalid(json::Place(place, "listenerMetadata"), "is set, but listenerPath is not",
                   "name the listener's socket, or remove the metadata");
  }
  const json::Place syscalls(place, "syscalls");
  for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i) {
    const json::Place here(syscalls, i);
    if (seccomp.syscalls[i].names.empty()) {
      return invalid(json::Place(here, "names"), "is empty", "name at least one system call");
    }
    const json::Place arguments(here, "args");
    for (std::size_t j = 0; j < seccomp.syscalls[i].args.size(); ++j) {
      if (seccomp.syscalls[i].args[j].index > 5) {
        return invalid(json::Place(json::Place(arguments, j), "index"),
                       "is " + std::to_string(seccomp.syscalls[i].args[j].index) +
                           "; a system call has six arguments",
                       "write a number from 0 to 5");
      }
    }
  }
  return {};
}

Result<void> validate_intel_rdt(const IntelRdt& rdt, const json::Place& place) {
  // It becomes a directory's name; "/" alone is the default class.
  if (rdt.clos_id != "/" &&
      (rdt.clos_id.find('/') != std::string::npos || rdt.clos_id == "." || rdt.clos_id == "..")) {
    return invalid(json::Place(place, "closID"), "is " + quoted(rdt.clos_id, 64),
                   "write a name without slashes");
  }
  if (!rdt.mem_bw_schema.empty() && (!rdt.mem_bw_schema.starts_with("MB:") ||
                                     rdt.mem_bw_schema.find('\n') != std::string::npos)) {
    return invalid(json::Place(place, "memBwSchema"), "is no line that begins with \"MB:\"",
                   "write one line, as in \"MB:0=20;1=70\"");
  }
  return {};
}

Result<void> validate_words(const Linux& config, const json::Place& place) {
  constexpr std::string_view kPropagations[] = {"",        "private",    "shared",
                                                "slave",   "unbindable", "rprivate",
                                                "rshared", "rslave",     "runbindable"};
  if (std::find(std::begin(kPropagations), std::end(kPropagations), config.rootfs_propagation) ==
      std::end(kPropagations)) {
    return invalid(json::Place(place, "rootfsPropagation"),
                   "is " + quoted(config.rootfs_propagation, 64),
                   "use one of private, shared, slave, unbindable");
  }
  if (climbs(config.cgroups_path)) {
    return invalid(json::Place(place, "cgroupsPath"),
                   "is " + quoted(config.cgroups_path) + ", which climbs with \"..\"",
                   "write the path without \"..\"");
  }
  if (!config.personality) return {};
  const json::Place personality(place, "personality");
  if (config.personality->domain != "LINUX" && config.personality->domain != "LINUX32") {
    return invalid(json::Place(personality, "domain"),
                   "is " + quoted(config.personality->domain, 64), "use \"LINUX\" or \"LINUX32\"");
  }
  if (!config.personality->flags.empty()) {
    return invalid(json::Place(personality, "flags"), "is not empty, but no flag is supported",
                   "remove the flags");
  }
  return {};
}

}  // namespace

Result<void> validate_id_mappings(const std::vector<IdMapping>& mappings,
                                  const json::Place& place) {
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const IdMapping& mapping = mappings[i];
    if (mapping.size == 0) {
      return invalid(json::Place(json::Place(place, i), "size"), "is zero, so nothing is mapped",
                     "write the number of ids, or remove the entry");
    }
    if (mapping.container_id > kNoId - mapping.size || mapping.host_id > kNoId - mapping.size) {
      return invalid(json::Place(place, i), "runs over the last id, 4294967294",
                     "make the range smaller or let it begin earlier");
    }
  }
  TRY(check_overlap(mappings, &IdMapping::container_id, "container's", place));
  return check_overlap(mappings, &IdMapping::host_id, "host's", place);
}

Result<void> validate_linux_at(const Spec& spec, const json::Place& place) {
  const Linux& config = spec.linux_;
  TRY(validate_namespaces(config.namespaces, json::Place(place, "namespaces")));
  TRY(validate_user_namespace(config, place));
  TRY(validate_time_offsets(config, place));
  const json::Place devices(place, "devices");
  for (std::size_t i = 0; i < config.devices.size(); ++i) {
    TRY(validate_device(config.devices[i], json::Place(devices, i)));
  }
  TRY(validate_net_devices(config, place));
  if (config.resources) {
    TRY(validate_resources_at(*config.resources, json::Place(place, "resources")));
  }
  TRY(validate_sysctls(config, place));
  if (config.seccomp) TRY(validate_seccomp_form(*config.seccomp, json::Place(place, "seccomp")));
  TRY(validate_absolute_paths(config.masked_paths, json::Place(place, "maskedPaths")));
  TRY(validate_absolute_paths(config.readonly_paths, json::Place(place, "readonlyPaths")));
  if (config.intel_rdt) TRY(validate_intel_rdt(*config.intel_rdt, json::Place(place, "intelRdt")));
  return validate_words(config, place);
}

}  // namespace bulkhead::oci
