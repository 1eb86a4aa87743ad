#include "runtime/restored_check.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/text.h"
#include "isolation/capabilities/names.h"
#include "isolation/mounts/options.h"
#include "isolation/mounts/place.h"
#include "isolation/namespace.h"
#include "sys/file.h"
#include "sys/root_dir.h"
#include "sys/uapi.h"

namespace bulkhead::runtime {
namespace {

using oci::NamespaceType;

// Beneath /proc/PID/ns, by oci::NamespaceType.
constexpr std::array<std::string_view, oci::kNamespaceTypeCount> kNamespaceFiles = {
    "pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"};

std::unexpected<Error> not_restored(std::string text) {
  return fail(ErrorKind::kState, "CRIU has not restored " + std::move(text),
              "the checkpoint is another container's, or this version of CRIU cannot do it; "
              "nothing was started");
}

std::string_view field_of(std::string_view status, std::string_view name) {
  for (const std::string_view line : split(status, '\n'))
    if (line.starts_with(name) && line.substr(name.size()).starts_with(':'))
      return trim(line.substr(name.size() + 1));
  return {};
}

std::uint64_t set_of(const std::vector<std::string>& names) {
  std::uint64_t set = 0;
  for (const std::string& name : names)
    if (const auto number = isolation::capability_number(name))
      set |= isolation::capability_bit(*number);
  return set;
}

Result<void> check_capabilities(const oci::Spec& spec, std::string_view status) {
  // What is not in the configuration is in none of the sets.
  const auto& wanted = spec.process->capabilities;
  const std::uint64_t bounding = wanted ? set_of(wanted->bounding) : 0;
  const std::uint64_t held =
      wanted ? bounding | set_of(wanted->permitted) | set_of(wanted->inheritable) : 0;
  const std::array<std::pair<std::string_view, std::uint64_t>, 5> sets{{{"CapBnd", bounding},
                                                                        {"CapPrm", held},
                                                                        {"CapEff", held},
                                                                        {"CapInh", held},
                                                                        {"CapAmb", held}}};
  for (const auto& [name, most] : sets) {
    const auto has = parse_number<std::uint64_t>(field_of(status, name), 16);
    if (!has) return not_restored("what could be read as " + std::string(name));
    if ((*has & ~most) != 0)
      return not_restored("the capabilities as they were: " + std::string(name) + " has " +
                          isolation::capability_set_in_words(*has & ~most) + " besides");
  }
  return {};
}

bool is_new(const oci::Spec& spec, NamespaceType type) {
  return std::ranges::any_of(spec.linux_.namespaces,
                             [&](const oci::Namespace& entry) { return entry.type == type; });
}

struct Seen {
  Fd file;
  unsigned long flags = 0;  // ST_*
  struct stat status{};
};

// Nothing when there is no such path.
Result<std::optional<Seen>> look_at(RootDir root, const std::string& path) {
  Seen seen;
  auto file = root.open(path.c_str(), O_PATH);
  if (!file && (file.error().error == ENOENT || file.error().error == ENOTDIR)) return std::nullopt;
  if (!file) return std::unexpected(Error(file.error()));
  seen.file = *std::move(file);
  struct statvfs system{};
  if (::fstatvfs(seen.file.get(), &system) != 0 || ::fstat(seen.file.get(), &seen.status) != 0)
    return std::unexpected(Error(SysError{"fstatvfs", errno, path.c_str()}));
  seen.flags = system.f_flag;
  return seen;
}

bool is_null_device(const Seen& seen) {
  return S_ISCHR(seen.status.st_mode) && seen.status.st_rdev == makedev(1, 3);
}

// As the file system that masks a directory.
bool is_empty_read_only_directory(RootDir root, const std::string& path, const Seen& seen) {
  if (!S_ISDIR(seen.status.st_mode) || (seen.flags & ST_RDONLY) == 0) return false;
  auto listing = root.open(path.c_str(), O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(
      listing ? ::fdopendir(listing->get()) : nullptr, ::closedir);
  if (!directory) return false;
  (void)listing->release();
  while (const dirent* entry = ::readdir(directory.get()))
    if (std::string_view(entry->d_name) != "." && std::string_view(entry->d_name) != "..")
      return false;
  return true;
}

Result<void> check_mount(RootDir root, const oci::Mount& mount) {
  struct Flag {
    std::uint64_t attribute;
    unsigned long seen;
    const char* name;
  };
  static constexpr std::array kFlags = {
      Flag{MOUNT_ATTR_RDONLY, ST_RDONLY, "read-only"}, Flag{MOUNT_ATTR_NOSUID, ST_NOSUID, "nosuid"},
      Flag{MOUNT_ATTR_NODEV, ST_NODEV, "nodev"}, Flag{MOUNT_ATTR_NOEXEC, ST_NOEXEC, "noexec"}};
  const isolation::MountOptions options = isolation::parse_mount_options(mount.options);
  TRY_ASSIGN(const std::optional<Seen> seen, look_at(root, mount.destination));
  if (!seen) return not_restored("the mount at " + quoted(mount.destination));
  for (const Flag& flag : kFlags)
    if (((options.set | options.recursive_set) & flag.attribute) != 0 &&
        (seen->flags & flag.seen) == 0)
      return not_restored("the mount at " + quoted(mount.destination) + " as " + flag.name);
  return {};
}

// A later mount at the same place, or above it, hides an earlier one.
bool is_hidden(const oci::Spec& spec, std::size_t index) {
  const std::string path = isolation::clean_path(spec.mounts[index].destination);
  for (std::size_t later = index + 1; later < spec.mounts.size(); ++later)
    if (isolation::is_at_or_beneath(path, isolation::clean_path(spec.mounts[later].destination)))
      return true;
  return false;
}

Result<NamespaceNumbers> namespaces_of(HostPid pid) {
  NamespaceNumbers numbers{};
  for (int type = 0; type < oci::kNamespaceTypeCount; ++type) {
    const std::string path = "/proc/" + std::to_string(pid.value()) + "/ns/" +
                             std::string(kNamespaceFiles[static_cast<std::size_t>(type)]);
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0)
      numbers[static_cast<std::size_t>(type)] = status.st_ino;
    else if (errno != ENOENT)
      return std::unexpected(Error(SysError{"stat", errno, path.c_str()}));
  }
  return numbers;
}

}  // namespace

Result<void> check_restored_status(const oci::Spec& spec, std::string_view status) {
  if (spec.process->no_new_privileges && field_of(status, "NoNewPrivs") != "1")
    return not_restored("no-new-privileges");
  // Mode 2 is a filter.
  if (spec.linux_.seccomp && field_of(status, "Seccomp") != "2")
    return not_restored("the seccomp filter");
  return check_capabilities(spec, status);
}

Result<void> check_restored_namespaces(const oci::Spec& spec, const NamespaceNumbers& ours,
                                       const NamespaceNumbers& its) {
  for (int type = 0; type < oci::kNamespaceTypeCount; ++type) {
    const auto which = static_cast<NamespaceType>(type);
    const std::size_t index = static_cast<std::size_t>(type);
    const bool same = ours[index] == its[index];
    // One that is joined may be the host's.
    const bool joined = std::ranges::any_of(
        spec.linux_.namespaces,
        [&](const oci::Namespace& entry) { return entry.type == which && !entry.path.empty(); });
    const std::string name(isolation::namespace_name(which));
    if (is_new(spec, which) && !joined && same) return not_restored("the " + name + " namespace");
    // CRIU may put the clocks into a namespace to go on as they were.
    if (!is_new(spec, which) && !same && which != NamespaceType::kTime)
      return not_restored("the host's " + name + " namespace, but made one");
  }
  return {};
}

Result<void> check_restored_mounts(const oci::Spec& spec, int root_descriptor) {
  const RootDir root(root_descriptor);
  TRY_ASSIGN(const std::optional<Seen> top, look_at(root, "/"));
  if (spec.root && spec.root->readonly && (!top || (top->flags & ST_RDONLY) == 0))
    return not_restored("the root file system as read-only");
  for (std::size_t index = 0; index < spec.mounts.size(); ++index)
    if (!is_hidden(spec, index)) TRY(check_mount(root, spec.mounts[index]));
  for (const std::string& path : spec.linux_.masked_paths) {
    TRY_ASSIGN(const std::optional<Seen> seen, look_at(root, path));
    if (seen && !is_null_device(*seen) && !is_empty_read_only_directory(root, path, *seen))
      return not_restored("the mask of " + quoted(path));
  }
  for (const std::string& path : spec.linux_.readonly_paths) {
    TRY_ASSIGN(const std::optional<Seen> seen, look_at(root, path));
    if (seen && (seen->flags & ST_RDONLY) == 0)
      return not_restored("the path " + quoted(path) + " as read-only");
  }
  return {};
}

Result<void> check_restored(const oci::Spec& spec, const isolation::HostFacts& host,
                            const std::vector<HostPid>& processes, std::string_view label) {
  for (const HostPid pid : processes) {
    const std::string path = "/proc/" + std::to_string(pid.value()) + "/status";
    auto status = read_file_at(AT_FDCWD, path.c_str());
    if (!status) return std::unexpected(std::move(status).error().within("a restored process"));
    TRY_WITHIN("process " + std::to_string(pid.value()), check_restored_status(spec, *status));
  }
  const std::string first = "/proc/" + std::to_string(processes.front().value());
  TRY_ASSIGN(const NamespaceNumbers its, namespaces_of(processes.front()));
  TRY(check_restored_namespaces(spec, host.namespaces, its));
  if (!label.empty()) {
    TRY_ASSIGN(const std::string current,
               read_file_at(AT_FDCWD, (first + "/attr/current").c_str()));
    if (!current.starts_with(label))
      return not_restored("the LSM label: it is " + quoted(trim(current)) + ", not " +
                          quoted(label));
  }
  TRY_ASSIGN(const Fd root, open_at(AT_FDCWD, (first + "/root").c_str(), O_PATH | O_DIRECTORY));
  return check_restored_mounts(spec, root.get());
}

}  // namespace bulkhead::runtime
