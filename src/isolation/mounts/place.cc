#include "isolation/mounts/place.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::isolation {
namespace {

bool has_option(const oci::Mount& mount, std::string_view word) {
  return std::find(mount.options.begin(), mount.options.end(), word) != mount.options.end();
}

bool is_bind_mount(const oci::Mount& mount) {
  return mount.type == "bind" || has_option(mount, "bind") || has_option(mount, "rbind");
}

const oci::Namespace* find_namespace(const oci::Spec& spec, oci::NamespaceType type) {
  for (const oci::Namespace& space : spec.linux_.namespaces)
    if (space.type == type) return &space;
  return nullptr;
}

// Only what the kernel fills itself, and at its usual place, where hardening needs it. A tmpfs that
// starts with a copy of the image's directory is as hostile as the image.
Anchor anchor_of_new(const oci::Mount& mount, std::string_view destination) {
  if (is_bind_mount(mount) || has_option(mount, "remount")) return Anchor::kRoot;
  if (mount.type == "proc" && destination == "/proc") return Anchor::kProc;
  if (mount.type == "sysfs" && destination == "/sys") return Anchor::kSys;
  if (mount.type == "tmpfs" && destination == "/dev" && !has_option(mount, "tmpcopyup"))
    return Anchor::kDev;
  if (mount.type == "devpts" && destination == "/dev/pts") return Anchor::kDevPts;
  return Anchor::kRoot;
}

}  // namespace

int anchor_of(const ChildContext& child, Anchor anchor) noexcept {
  switch (anchor) {
    case Anchor::kProc: return child.fresh_proc;
    case Anchor::kSys: return child.fresh_sys;
    case Anchor::kDev: return child.fresh_dev;
    case Anchor::kDevPts: return child.fresh_devpts;
    case Anchor::kRoot: break;
  }
  return child.root;
}

int* anchor_slot(ChildContext& child, Anchor anchor) noexcept {
  switch (anchor) {
    case Anchor::kProc: return &child.fresh_proc;
    case Anchor::kSys: return &child.fresh_sys;
    case Anchor::kDev: return &child.fresh_dev;
    case Anchor::kDevPts: return &child.fresh_devpts;
    case Anchor::kRoot: break;
  }
  return nullptr;
}

bool binds_host_sysfs(const oci::Spec& spec) {
  const auto* user = find_namespace(spec, oci::NamespaceType::kUser);
  const auto* network = find_namespace(spec, oci::NamespaceType::kNetwork);
  if (user == nullptr) return false;
  return network == nullptr || (!network->path.empty() && user->path.empty());
}

std::string clean_path(std::string_view path) {
  std::string clean;
  while (!path.empty()) {
    const std::string_view part = next_field(path, '/');
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      clean.resize(clean.empty() ? 0 : clean.rfind('/'));
      continue;
    }
    clean.append("/").append(part);
  }
  if (clean.empty()) clean = "/";
  return clean;
}

bool is_at_or_beneath(std::string_view path, std::string_view directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

MountLayout::MountLayout(const oci::Spec& spec) {
  entries_.reserve(spec.mounts.size());
  for (const oci::Mount& mount : spec.mounts) {
    std::string destination = clean_path(mount.destination);
    Anchor anchor = anchor_of_new(mount, destination);
    const bool host_sysfs = mount.type == "sysfs" && binds_host_sysfs(spec);
    if (host_sysfs) anchor = Anchor::kRoot;
    entries_.push_back({std::move(destination), anchor, host_sysfs || is_bind_mount(mount)});
  }
}

Place MountLayout::place_of(std::string path, std::size_t mounts) const {
  Place place;
  // The last of those above it, in the order of mounting, is what the path really leads into.
  for (std::size_t i = std::min(mounts, entries_.size()); i-- > 0;) {
    const Entry& entry = entries_[i];
    if (entry.destination == path || !is_at_or_beneath(path, entry.destination)) continue;
    place.anchor = entry.anchor;
    if (place.anchor != Anchor::kRoot) place.path = path.substr(entry.destination.size() + 1);
    break;
  }
  if (place.anchor == Anchor::kRoot) place.path = path == "/" ? "." : path.substr(1);
  place.absolute = std::move(path);
  return place;
}

bool MountLayout::is_hidden(std::size_t index) const {
  for (std::size_t i = index + 1; i < entries_.size(); ++i)
    if (is_at_or_beneath(entries_[index].destination, entries_[i].destination)) return true;
  return false;
}

std::size_t MountLayout::mount_at(std::string_view path) const {
  for (std::size_t i = entries_.size(); i-- > 0;)
    if (entries_[i].destination == path) return i;
  return kAll;
}

}  // namespace bulkhead::isolation
