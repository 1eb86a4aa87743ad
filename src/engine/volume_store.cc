#include "engine/volume_store.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "engine/events.h"
#include "engine/registry.h"
#include "json/writer.h"
#include "storage/limited_space.h"
#include "storage/store.h"
#include "storage/unpacker.h"
#include "volumes/copy_tree.h"
#include "volumes/export_tree.h"
#include "volumes/fill.h"
#include "volumes/memory.h"
#include "volumes/space.h"
#include "volumes/volumes.h"

namespace bulkhead::engine {
namespace {

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

std::string mountpoint_of(const storage::Store& store, const volumes::Volume& volume) {
  const std::string path = store.path() + "/" + volumes::volume_path(volume.name) + "/";
  const auto meaning = volumes::read_options(volume.options);
  switch (meaning ? meaning->kind : volumes::Kind::kDirectory) {
    case volumes::Kind::kBind: return meaning->device;
    case volumes::Kind::kImage: return path + storage::kImageFile;
    case volumes::Kind::kMemory: return path + volumes::kMemory + "/" + volumes::kData;
    case volumes::Kind::kDirectory: break;
  }
  return path + volumes::kData;
}

ListedVolume listed(const storage::Store& store, volumes::Volume volume,
                    const volumes::Users& users) {
  ListedVolume made;
  const auto found = users.find(volume.name);
  if (found != users.end()) made.containers = found->second.size();
  made.mountpoint = mountpoint_of(store, volume);
  made.volume = std::move(volume);
  return made;
}

void write_words(json::Writer& writer, std::string_view name, const volumes::Words& words) {
  writer.key(name);
  if (words.empty()) return writer.null();
  writer.begin_object();
  for (const auto& [key, value] : words) writer.member(key, value);
  writer.end_object();
}

bool has_label(const volumes::Words& labels, std::string_view text) {
  std::string_view value = text;
  const std::string_view key = next_field(value, '=');
  const auto found = labels.find(std::string(key));
  return found != labels.end() && (key.size() == text.size() || found->second == value);
}

}  // namespace

Result<std::string> create_volume(const StoreOptions& options, volumes::Volume wanted) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  if (wanted.name.empty()) {
    TRY_ASSIGN(wanted.name, new_id());
    wanted.labels.emplace(volumes::kAnonymousLabel, "");
  }
  TRY_ASSIGN(const bool is_new, volumes::create(store.get(), wanted));
  if (is_new) record_volume_event(options, wanted.name, "create", {{"driver", "local"}});
  return wanted.name;
}

Result<VolumeFilter> VolumeFilter::read(const std::vector<std::string>& texts, Use use) {
  constexpr std::array<std::string_view, 4> kOfList{"dangling", "driver", "label", "name"};
  constexpr std::array<std::string_view, 3> kOfPrune{"label", "label!", "all"};
  VolumeFilter filter;
  for (const std::string& text : texts) {
    std::string_view value = text;
    const std::string_view key = next_field(value, '=');
    const bool known = use == Use::kList ? std::ranges::find(kOfList, key) != kOfList.end()
                                         : std::ranges::find(kOfPrune, key) != kOfPrune.end();
    if (!known || text.find('=') == std::string::npos)
      return fail(ErrorKind::kUsage, "--filter " + quoted(text) + ": there is no such filter",
                  use == Use::kList ? "there are dangling=, driver=, label= and name="
                                    : "there are label=, label!= and all=");
    const bool is_boolean = key == "dangling" || key == "all";
    if (is_boolean && !parse_bool(value))
      return fail(ErrorKind::kUsage, "--filter " + quoted(text) + ": true or false is expected");
    if (key == "all")
      filter.all_ = *parse_bool(value);
    else
      filter.wanted_.emplace_back(key, value);
  }
  return filter;
}

bool VolumeFilter::matches_labels(const volumes::Words& labels) const {
  return std::ranges::all_of(wanted_, [&](const auto& pair) {
    if (pair.first == "label") return has_label(labels, pair.second);
    if (pair.first == "label!") return !has_label(labels, pair.second);
    return true;
  });
}

bool VolumeFilter::matches(const ListedVolume& volume) const {
  const auto matches_one = [&](const std::string& key, const std::string& value) {
    if (key == "name") return volume.volume.name.find(value) != std::string::npos;
    if (key == "driver") return value == "local";
    return parse_bool(value) == (volume.containers == 0);  // dangling
  };
  return matches_labels(volume.volume.labels) &&
         std::ranges::all_of(wanted_, [&](const auto& pair) {
           if (pair.first.starts_with("label")) return true;
           return std::ranges::any_of(wanted_, [&](const auto& other) {
             return other.first == pair.first && matches_one(other.first, other.second);
           });
         });
}

Result<std::vector<ListedVolume>> list_volumes(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(auto all, volumes::list(store.get()));
  TRY_ASSIGN(const volumes::Users users, volumes::list_users(store.get()));
  std::vector<ListedVolume> made;
  made.reserve(all.size());
  for (volumes::Volume& volume : all) made.push_back(listed(store, std::move(volume), users));
  return made;
}

Result<ListedVolume> find_volume(const StoreOptions& options, std::string_view name) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(volumes::Volume volume, volumes::find(store.get(), name));
  TRY_ASSIGN(const volumes::Users users, volumes::list_users(store.get()));
  return listed(store, std::move(volume), users);
}

std::string inspect_volume(const ListedVolume& volume) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  writer.member("CreatedAt", volume.volume.created);
  writer.member("Driver", "local");
  write_words(writer, "Labels", volume.volume.labels);
  writer.member("Mountpoint", volume.mountpoint);
  writer.member("Name", volume.volume.name);
  write_words(writer, "Options", volume.volume.options);
  writer.member("Scope", "local");
  writer.end_object();
  return text;
}

Result<void> remove_volume(const StoreOptions& options, const std::string& name) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY(volumes::remove(store.get(), name));
  record_volume_event(options, name, "destroy", {{"driver", "local"}});
  return {};
}

Result<PrunedVolumes> prune_volumes(const StoreOptions& options, bool all,
                                    const VolumeFilter& filter) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY(volumes::sweep(store.get()));
  TRY_ASSIGN(const auto candidates, list_volumes(options));
  PrunedVolumes pruned;
  for (const ListedVolume& each : candidates) {
    if (each.containers != 0 || !filter.matches(each)) continue;
    if (!all && !filter.all() && !each.volume.anonymous()) continue;
    TRY_ASSIGN(const std::uint64_t bytes, volumes::disk_bytes(store.get(), each.volume));
    // Somebody may have begun to use it, or have removed it.
    auto removed = volumes::remove(store.get(), each.volume.name);
    if (!removed && removed.error().kind() != ErrorKind::kState &&
        removed.error().kind() != ErrorKind::kNotFound)
      return std::unexpected(std::move(removed).error());
    if (!removed) continue;
    record_volume_event(options, each.volume.name, "destroy", {{"driver", "local"}});
    pruned.names.push_back(each.volume.name);
    pruned.bytes += bytes;
  }
  return pruned;
}

Result<std::vector<VolumeUse>> measure_volumes(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(auto all, list_volumes(options));
  std::vector<VolumeUse> uses;
  for (ListedVolume& each : all) {
    VolumeUse use;
    TRY_ASSIGN(use.bytes, volumes::disk_bytes(store.get(), each.volume));
    use.listed = std::move(each);
    uses.push_back(std::move(use));
  }
  return uses;
}

Result<void> export_volume(const StoreOptions& options, std::string_view name, int output) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const volumes::Volume volume, volumes::find(store.get(), name));
  TRY_ASSIGN(const volumes::Space space,
             volumes::open_space(store.get(), volume, volumes::Access::kRead));
  TRY_WITHIN("exporting the volume " + quoted(name),
             volumes::export_tree(space.data.get(), output));
  return {};
}

Result<std::vector<std::string>> import_volume(const StoreOptions& options, std::string_view name,
                                               int input) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const volumes::Volume volume, volumes::find(store.get(), name));
  TRY_ASSIGN(const volumes::Space space,
             volumes::open_space(store.get(), volume, volumes::Access::kFill));
  TRY_ASSIGN(const bool empty, volumes::is_empty(space.data.get()));
  if (!empty)
    return fail(ErrorKind::kState, "the volume " + quoted(name) + " is not empty",
                "import into a new one: bulkhead volume create NAME");
  std::vector<std::string> notes;
  const auto unpack = [&](int directory) -> Result<void> {
    TRY_ASSIGN(storage::UnpackerAnswer answer,
               storage::run_unpacker({.words = {"--tree", store.path()},
                                      .input = input,
                                      .directory = directory,
                                      .context = "volume " + quoted(name)}));
    notes = std::move(answer.notes);
    return {};
  };
  TRY_ASSIGN(const volumes::Meaning meaning, volumes::read_options(volume.options));
  auto filled = volumes::fill(space.root.get(), space.data.get(), [&](int directory) {
    if (meaning.kind != volumes::Kind::kImage) return unpack(directory);
    // What unpacks has a mount namespace of its own, which a file system that is mounted nowhere is not in.
    return volumes::with_scratch(space.lock.get(), [&](int scratch) -> Result<void> {
      TRY(unpack(scratch));
      TRY(volumes::copy_tree(scratch, directory));
      return {};
    });
  });
  if (!filled) return std::unexpected(std::move(filled).error());
  return notes;
}

}  // namespace bulkhead::engine
