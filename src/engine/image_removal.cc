#include <algorithm>
#include <map>

#include "base/text.h"
#include "engine/events.h"
#include "engine/image_choice.h"
#include "engine/image_filter.h"
#include "engine/images.h"
#include "engine/registry.h"
#include "storage/collect.h"
#include "storage/ingest.h"
#include "storage/store_lock.h"

namespace bulkhead::engine {
namespace {

using storage::ImageUse;
using storage::Reference;
using storage::StoredImage;

// One image as users know it: what has one id, though it may have come in several ways, each with a
// manifest of its own.
struct Group {
  std::string id;  // hex
  std::vector<std::string> manifests;
  std::vector<std::pair<Reference, std::string>> names;  // with their manifests
  std::vector<std::string> layers;
};

Group group_of(const std::vector<StoredImage>& images, const std::string& id) {
  Group group;
  group.id = id;
  for (const StoredImage& image : images) {
    if (image.record.config_digest != id) continue;
    group.manifests.push_back(image.record.manifest_digest);
    group.layers = image.record.layers;
    for (const Reference& name : image.names)
      group.names.emplace_back(name, image.record.manifest_digest);
  }
  return group;
}

// Whether all of the names are one to a user: at most one tag, and digests of its repository.
bool is_one_name(const Group& group) {
  std::size_t tags = 0;
  for (const auto& [name, manifest] : group.names) {
    if (!name.tag.empty()) ++tags;
    if (name.name() != group.names.front().first.name()) return false;
  }
  return tags <= 1;
}

struct Users {
  std::string running;  // a container's name; empty: none
  std::string stopped;
};

Users users_of(const storage::Store& store, const std::vector<ImageUse>& uses,
               const std::string& id) {
  Users users;
  std::map<std::string, std::string, std::less<>> names;
  if (const auto all = list_names(store.get()))
    for (const auto& [name, container] : *all) names[container] = name;
  for (const ImageUse& use : uses) {
    if (use.record.config_digest != id) continue;
    const auto named = names.find(use.container);
    const std::string name = named == names.end() ? use.container.substr(0, 12) : named->second;
    // Somebody stands by it.
    const bool running = !hold_container(store.get(), use.container);
    (running ? users.running : users.stopped) = name;
  }
  return users;
}

std::unexpected<Error> conflict(const std::string& what, const std::string& why, std::string hint) {
  return fail(ErrorKind::kState, "cannot remove " + what + ": " + why, std::move(hint));
}

// Whose image it is done to, and in which store.
struct Removal {
  const StoreOptions& options;
  const storage::Store& store;
  std::string id;  // "sha256:…"
};

Result<void> take_name(const Removal& removal, const Reference& name, RemovalLines& lines) {
  TRY_ASSIGN(const bool removed, storage::remove_image_name(removal.store.get(), name));
  if (!removed) return {};
  lines.push_back("Untagged: " + name.familiar());
  record_image_event(removal.options, removal.id, removal.id, "untag");
  return {};
}

// The name, and with a repository's last tag the digests that it was fetched by.
Result<void> take_names_like(const Removal& removal, Group& group, const Reference& wanted,
                             RemovalLines& lines) {
  std::erase_if(group.names, [&](const auto& each) { return each.first == wanted; });
  TRY(take_name(removal, wanted, lines));
  const auto is_of_repository = [&](const auto& each) {
    return each.first.name() == wanted.name();
  };
  const bool tagged = std::ranges::any_of(group.names, [&](const auto& each) {
    return is_of_repository(each) && !each.first.tag.empty();
  });
  if (tagged || wanted.tag.empty()) return {};
  for (const auto& each : group.names)
    if (is_of_repository(each)) TRY(take_name(removal, each.first, lines));
  std::erase_if(group.names, is_of_repository);
  return {};
}

Result<RemovalLines> remove_group(const Removal& removal, const Group& group, Fd lock,
                                  RemovalLines lines) {
  storage::CollectOptions collect;
  collect.images = group.manifests;
  TRY_ASSIGN(const storage::Collected gone,
             storage::collect(removal.store, std::move(lock), collect));
  lines.push_back("Deleted: sha256:" + group.id);
  record_image_event(removal.options, removal.id, removal.id, "delete");
  for (const std::string& layer : group.layers)
    if (std::ranges::find(gone.layers, layer) != gone.layers.end())
      lines.push_back("Deleted: sha256:" + layer);
  return lines;
}

}  // namespace

Result<RemovalLines> remove_image(const StoreOptions& options, std::string_view name,
                                  ForceRemoval force) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(Fd lock, storage::lock_store(store.get(), storage::StoreAccess::kRemove));
  TRY_ASSIGN(const storage::FoundImage found, storage::find_image_here(store, name));
  TRY_ASSIGN(const auto images, storage::list_images(store));
  TRY_ASSIGN(const auto uses, storage::list_uses(store));
  Group group = group_of(images, found.record.config_digest);
  const Removal removal{options, store, "sha256:" + group.id};
  const Users users = users_of(store, uses, group.id);
  const std::string short_id = group.id.substr(0, 12);
  const bool forced = force == ForceRemoval::kYes;
  RemovalLines lines;

  if (found.name) {
    const std::string& user = users.running.empty() ? users.stopped : users.running;
    if (!forced && !user.empty() && is_one_name(group))
      return conflict(
          "the name " + quoted(found.name->familiar()),
          "the container " + user + " uses its image " + short_id,
          "remove the container (bulkhead rm " + user + "), or take the name alone by --force");
    TRY(take_names_like(removal, group, *found.name, lines));
    // What containers use stays, without a name.
    if (!group.names.empty() || !user.empty()) return lines;
    return remove_group(removal, group, std::move(lock), std::move(lines));
  }

  if (!users.running.empty())
    return conflict("the image " + short_id, "the running container " + users.running + " uses it",
                    "stop and remove the container first; --force does not help");
  if (!forced && !users.stopped.empty())
    return conflict("the image " + short_id, "the stopped container " + users.stopped + " uses it",
                    "remove the container (bulkhead rm " + users.stopped +
                        "), or take the image's names away by --force");
  if (!forced && !is_one_name(group))
    return conflict("the image " + short_id, "it has names in several repositories",
                    "remove its names one by one, or all of them by --force");
  for (const auto& [each, manifest] : group.names) TRY(take_name(removal, each, lines));
  return remove_group(removal, group, std::move(lock), std::move(lines));
}

Result<Pruned> prune_images(const StoreOptions& options, const PruneOptions& prune) {
  TRY_ASSIGN(const ImageFilter filter, ImageFilter::for_prune(prune.filters));
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(Fd lock, storage::lock_store(store.get(), storage::StoreAccess::kRemove));
  TRY_ASSIGN(const auto images, storage::list_images(store));
  TRY_ASSIGN(const auto uses, storage::list_uses(store));
  TRY_ASSIGN(const storage::HeldByIngests held, storage::read_held(store.get()));
  Pruned pruned;
  storage::CollectOptions collect;
  collect.partial_blobs = true;
  collect.sources = true;
  std::vector<std::string> layers;
  std::vector<std::string> removed;
  for (const StoredImage& image : images) {
    if (!prune.all && !image.names.empty()) continue;
    // Somebody is just adding it.
    if (held.blobs.contains(image.record.manifest_digest)) continue;
    if (std::ranges::any_of(uses, [&](const ImageUse& use) {
          return use.record.config_digest == image.record.config_digest;
        }))
      continue;
    TRY_ASSIGN(const bool matches, filter.matches(image));
    if (!matches) continue;
    const Removal removal{options, store, "sha256:" + image.record.config_digest};
    for (const Reference& name : image.names) TRY(take_name(removal, name, pruned.lines));
    removed.push_back(removal.id);
    pruned.lines.push_back("Deleted: sha256:" + image.record.config_digest);
    collect.images.push_back(image.record.manifest_digest);
    layers.insert(layers.end(), image.record.layers.begin(), image.record.layers.end());
  }
  TRY_ASSIGN(const storage::Collected gone, storage::collect(store, std::move(lock), collect));
  for (const std::string& layer : gone.layers)
    if (std::ranges::find(layers, layer) != layers.end())
      pruned.lines.push_back("Deleted: sha256:" + layer);
  pruned.bytes = gone.bytes;
  for (const std::string& id : removed) record_image_event(options, id, id, "delete");
  return pruned;
}

Result<void> tag_image(const StoreOptions& options, std::string_view source,
                       std::string_view target) {
  TRY_ASSIGN(const Reference name, storage::parse_reference(target));
  if (!name.digest.empty())
    return fail(ErrorKind::kInvalid, "image name " + quoted(target) + ": a tag with a digest",
                "a digest is what an image has already: give NAME:TAG");
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY(take_builtin_image(store, source));
  TRY_ASSIGN(const Fd lock, storage::lock_store(store.get(), storage::StoreAccess::kUse));
  TRY_ASSIGN(const storage::FoundImage found, storage::find_image_here(store, source));
  TRY(storage::set_image_name(store.get(), name, found.record.manifest_digest));
  record_image_event(options, "sha256:" + found.record.config_digest, name.familiar(), "tag");
  return {};
}

}  // namespace bulkhead::engine
