#include "engine/container_volumes.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "engine/containers.h"
#include "engine/events.h"
#include "engine/flag_error.h"
#include "engine/registry.h"
#include "isolation/mounts/place.h"
#include "oci/decode.h"
#include "sys/file.h"
#include "volumes/populate.h"
#include "volumes/space.h"
#include "volumes/volumes.h"

namespace bulkhead::engine {
namespace {

constexpr std::string_view kFrom = "--volumes-from";
// What --preset untrusted gives in place of an image's volume, which could fill the disk.
constexpr const char* kSmallSpace[] = {"size=64m", "mode=1777"};

using Places = std::set<std::string>;

Places places_of(const Wish& wish) {
  Places places;
  for (const Volume& volume : wish.volumes)
    places.insert(isolation::clean_path(volume.destination));
  for (const TmpfsMount& tmpfs : wish.tmpfs)
    places.insert(isolation::clean_path(tmpfs.destination));
  return places;
}

Volume volume_of(const MountRecord& mount) {
  Volume volume;
  volume.is_volume = mount.is_volume;
  volume.name = mount.name;
  volume.source = mount.is_volume ? "" : mount.source;
  volume.destination = mount.destination;
  volume.subpath = mount.subpath;
  volume.anonymous = mount.anonymous;
  volume.no_copy = mount.no_copy;
  volume.read_only = mount.read_only;
  volume.recursive = mount.recursive;
  volume.id_mapped = mount.id_mapped;
  volume.further_options = mount.options;
  return volume;
}

// Whoever is given another's volumes belongs to the same tenant.
Result<void> check_tenant(const storage::Store& store, const ListedContainer& container,
                          Wish& wish) {
  TRY_ASSIGN(const Fd directory, open_container(store.get(), container.id));
  TRY_ASSIGN(const std::string text, read_file_at(directory.get(), kConfigFile, 16 << 20));
  TRY_ASSIGN(const oci::Spec spec, oci::decode_spec(text));
  const auto found = spec.annotations.find(std::string(kTenantAnnotation));
  const std::string tenant = found == spec.annotations.end() ? "" : found->second;
  if (wish.metadata.tenant.empty()) wish.metadata.tenant = tenant;
  if (tenant == wish.metadata.tenant) return {};
  return fail(ErrorKind::kPermission,
              std::string(kFrom) + " " + quoted(container.name) + ": it belongs to " +
                  (tenant.empty() ? "no tenant" : "the tenant " + quoted(tenant)) +
                  ", and the new one to " + quoted(wish.metadata.tenant),
              "containers of different tenants share no volumes of each other");
}

Result<void> add_from(const StoreOptions& options, const storage::Store& store,
                      std::string_view text, Places& places, Wish& wish) {
  std::string_view mode = text;
  const std::string_view name = next_field(mode, ':');
  if (mode != "" && mode != "ro" && mode != "rw")
    return refuse_flag(kFrom, text, "ro or rw is expected after the container");
  auto container = find(options, name);
  if (!container) return std::unexpected(std::move(container).error().within(kFrom));
  if (!container->record)
    return fail(ErrorKind::kState,
                std::string(kFrom) + " " + quoted(text) +
                    ": it runs in the foreground, and what it has is not recorded",
                "run it with --detach, or name the volumes with --volume");
  TRY(check_tenant(store, *container, wish));
  for (const MountRecord& mount : container->record->mounts) {
    if (!places.insert(isolation::clean_path(mount.destination)).second) continue;
    Volume volume = volume_of(mount);
    if (mode == "ro") volume.read_only = true;
    volume.id_mapped = volume.id_mapped || volume.is_volume;
    if (wish.sharing.user.host()) volume.id_mapped = false;
    wish.volumes.push_back(std::move(volume));
  }
  return {};
}

std::string place_in_store(const storage::Store& store, const Volume& volume) {
  std::string path = store.path() + "/" + volumes::volume_path(volume.name) + "/" + volumes::kData;
  if (!volume.subpath.empty()) path.append("/").append(volume.subpath);
  return path;
}

void add_options(const volumes::Meaning& meaning, Volume& volume) {
  for (const std::string& option : meaning.mount_options)
    if (std::ranges::find(volume.further_options, option) == volume.further_options.end())
      volume.further_options.push_back(option);
}

// `known`: the volume, or what a new one is to be.
Result<void> resolve(const storage::Store& store, const volumes::Volume& known, Volume& volume) {
  TRY_ASSIGN(const volumes::Meaning meaning, volumes::read_options(known.options));
  volume.kept_here = meaning.kind != volumes::Kind::kBind;
  volume.recursive = true;
  // It would be gone before anybody uses it.
  volume.no_copy = volume.no_copy || meaning.kind == volumes::Kind::kMemory;
  if (volume.kept_here) {
    volume.read_only = volume.read_only || meaning.read_only;
    add_options(meaning, volume);
    volume.source = place_in_store(store, volume);
    return {};
  }
  if (!volume.subpath.empty())
    return fail(
        ErrorKind::kUnsupported,
        "volume-subpath: the volume " + quoted(volume.name) + " is the host's " +
            quoted(meaning.device),
        "bind what you mean: --mount type=bind,source=" + meaning.device + "/" + volume.subpath);
  volume.source = meaning.device;
  volume.recursive = meaning.recursive;
  volume.read_only = volume.read_only || meaning.read_only;
  add_options(meaning, volume);
  return {};
}

// Of a volume that may not be there yet.
Result<volumes::Volume> wanted(const storage::Store& store, const Volume& volume) {
  volumes::Volume made;
  made.name = volume.name;
  made.labels = volume.labels;
  made.options = volume.driver_options;
  auto there = volumes::find(store.get(), volume.name);
  if (there && made.labels.empty() && made.options.empty()) {
    // The mark goes with what was given to the container, not with a name that somebody typed.
    if (!volume.anonymous) there->labels.erase(std::string(volumes::kAnonymousLabel));
    made.options = there->options;
    if (volume.anonymous) made.labels = there->labels;
  } else if (volume.anonymous) {
    made.labels.emplace(volumes::kAnonymousLabel, "");
  }
  if (!there && there.error().kind() != ErrorKind::kNotFound)
    return std::unexpected(std::move(there).error());
  return made;
}

}  // namespace

Result<void> add_inherited_volumes(const StoreOptions& options, const storage::Store& store,
                                   const oci::ImageConfig& image, Wish& wish) {
  Places places = places_of(wish);
  for (const std::string& text : wish.volumes_from)
    TRY(add_from(options, store, text, places, wish));
  for (const auto& [place, nothing] : image.config.volumes) {
    const std::string said = place.starts_with('/') ? place : "/" + place;
    if (auto checked = check_container_path("the image's volume", said); !checked)
      return std::unexpected(std::move(checked).error().with_kind(ErrorKind::kInvalid));
    const std::string destination = isolation::clean_path(said);
    // Docker ignores these, too: the whole root is no volume.
    if (destination == "/" || !places.insert(destination).second) continue;
    if (wish.untrusted) {
      wish.tmpfs.push_back({destination, {std::begin(kSmallSpace), std::end(kSmallSpace)}});
      continue;
    }
    Volume volume;
    volume.is_volume = volume.anonymous = true;
    volume.destination = destination;
    volume.id_mapped = !wish.sharing.user.host();
    wish.volumes.push_back(std::move(volume));
  }
  return find_volumes(store, wish);
}

Result<void> find_volumes(const storage::Store& store, Wish& wish) {
  for (Volume& volume : wish.volumes) {
    if (!volume.is_volume) continue;
    // The mount that is handed over is found by it.
    volume.destination = isolation::clean_path(volume.destination);
    volumes::Volume known;
    known.options = volume.driver_options;
    if (!volume.name.empty()) {
      TRY_ASSIGN(known, wanted(store, volume));
    }
    TRY(resolve(store, known, volume));
  }
  return {};
}

Result<std::vector<std::string>> attach_volumes(const StoreOptions& options,
                                                const storage::Store& store, const std::string& id,
                                                const std::vector<std::string>& layers,
                                                Wish& wish) {
  std::vector<std::string> notes;
  std::vector<volumes::Volume> all;
  for (Volume& volume : wish.volumes) {
    if (!volume.is_volume) continue;
    if (volume.name.empty()) {
      TRY_ASSIGN(volume.name, new_id());
    }
    TRY_ASSIGN(volumes::Volume one, wanted(store, volume));
    all.push_back(std::move(one));
  }
  if (all.empty()) return notes;
  TRY_ASSIGN(const std::vector<std::string> made, volumes::use(store.get(), id, all));
  for (const std::string& name : made)
    record_volume_event(options, name, "create", {{"driver", "local"}});
  for (Volume& volume : wish.volumes) {
    if (!volume.is_volume) continue;
    TRY_ASSIGN(const volumes::Volume there, volumes::find(store.get(), volume.name));
    TRY(resolve(store, there, volume));
    if (!volume.kept_here || volume.no_copy || !volume.subpath.empty()) continue;
    TRY_ASSIGN(const std::uint64_t left_out,
               volumes::populate(store.get(), there, layers, volume.destination));
    if (left_out != 0)
      notes.push_back("the volume on " + quoted(volume.destination) + ": " +
                      std::to_string(left_out) +
                      " device nodes or sockets of the image were left out");
  }
  return notes;
}

std::vector<MountRecord> mounts_of(const Wish& wish) {
  std::vector<MountRecord> mounts;
  for (const Volume& volume : wish.volumes) {
    MountRecord mount;
    mount.is_volume = volume.is_volume;
    mount.name = volume.name;
    mount.source = volume.source;
    mount.destination = isolation::clean_path(volume.destination);
    mount.subpath = volume.subpath;
    mount.kept_here = volume.kept_here;
    mount.anonymous = volume.anonymous;
    mount.no_copy = volume.no_copy;
    mount.read_only = volume.read_only;
    mount.recursive = volume.recursive;
    mount.id_mapped = volume.id_mapped;
    mount.options = volume.further_options;
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

void record_mounts(const StoreOptions& options, const std::string& id,
                   std::span<const MountRecord> mounts, const std::string& action) {
  for (const MountRecord& mount : mounts) {
    if (!mount.is_volume) continue;
    EventAttributes attributes{{"driver", "local"}, {"container", id}};
    if (action == "mount") {
      attributes.emplace("destination", mount.destination);
      attributes.emplace("read/write", mount.read_only ? "false" : "true");
      attributes.emplace("propagation", "");
    }
    record_volume_event(options, mount.name, action, std::move(attributes));
  }
}

Result<void> add_volume_mounts(const storage::Store& store, std::span<const MountRecord> mounts,
                               std::vector<isolation::HandedMount>& handed) {
  for (const MountRecord& mount : mounts) {
    if (!mount.is_volume || !mount.kept_here) continue;
    TRY_ASSIGN(const volumes::Volume volume, volumes::find(store.get(), mount.name));
    TRY_ASSIGN(Fd tree, volumes::mount_of(store.get(), volume, mount.subpath));
    handed.push_back({mount.destination, std::move(tree)});
  }
  return {};
}

Result<void> remove_anonymous_volumes(int store, const std::string& id) {
  TRY_ASSIGN(const auto uses, volumes::used_by(store, id));
  for (const volumes::Use& use : uses) {
    if (!use.anonymous) continue;
    const auto removed = volumes::remove(store, use.name, id);
    // Another container has it, too; or it has gone already.
    if (!removed && removed.error().kind() != ErrorKind::kState &&
        removed.error().kind() != ErrorKind::kNotFound)
      return removed;
  }
  return {};
}

}  // namespace bulkhead::engine
