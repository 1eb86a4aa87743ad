#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/containers.h"
#include "engine/images.h"
#include "engine/registry.h"
#include "storage/layout.h"
#include "storage/record.h"
#include "storage/tree_record.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::engine {
namespace {

using storage::ImageRecord;

constexpr std::size_t kMostRecord = 8 << 20;

// What images consist of, by paths in the store: how large, and of how many images.
struct Part {
  std::uint64_t bytes = 0;
  std::size_t images = 0;
  bool in_use = false;  // by a container
};
using Parts = std::map<std::string, Part, std::less<>>;

std::uint64_t file_size(int store, const std::string& path) {
  struct stat status{};
  if (::fstatat(store, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_size);
}

std::set<std::string> parts_of(const ImageRecord& record) {
  std::set<std::string> paths{storage::blob_path(record.manifest_digest),
                              storage::blob_path(record.config_digest)};
  for (const std::string& blob : record.blobs) paths.insert(storage::blob_path(blob));
  for (const std::string& layer : record.layers) paths.insert(storage::layer_path(layer));
  return paths;
}

Result<Part*> part_at(int store, Parts& parts, const std::string& path) {
  const auto [found, is_new] = parts.try_emplace(path);
  if (!is_new) return &found->second;
  if (path.starts_with("layers/")) {
    const std::string diff_id = path.substr(7);
    TRY_ASSIGN(const auto tree, storage::read_tree_record(store, diff_id));
    found->second.bytes =
        (tree ? tree->bytes : 0) +
        file_size(store, storage::path_in(storage::kErofsLayers, diff_id + ".erofs"));
  } else {
    found->second.bytes = file_size(store, path);
  }
  return &found->second;
}

Result<std::vector<ImageRecord>> read_sources(int store) {
  std::vector<ImageRecord> records;
  TRY_ASSIGN(const auto names, list_directory(store, storage::kSources));
  for (const std::string& name : names) {
    const auto text =
        read_file_at(store, storage::path_in(storage::kSources, name).c_str(), kMostRecord);
    if (!text) continue;
    if (auto record = storage::decode_record(*text)) records.push_back(*std::move(record));
  }
  return records;
}

Result<std::uint64_t> partial_bytes(int store) {
  std::uint64_t bytes = 0;
  TRY_ASSIGN(const auto names, list_directory(store, storage::kPartialBlobs));
  for (const std::string& name : names) bytes += file_size(store, storage::partial_blob_path(name));
  return bytes;
}

Result<void> add_containers(const StoreOptions& options, int store, DiskUse& use) {
  TRY_ASSIGN(const auto containers, list(options));
  for (const ListedContainer& each : containers) {
    DiskUse::Container container;
    container.id = each.id;
    container.name = each.name;
    container.image = each.image;
    container.started = each.started;
    container.status = name_of(each.status);
    container.running = each.status == ContainerStatus::kRunning;
    const std::string path = container_path(each.id) + "/upper";
    TRY_ASSIGN(container.size, tree_bytes_at(store, path.c_str()));
    use.containers.push_back(std::move(container));
  }
  return {};
}

}  // namespace

Result<DiskUse> disk_use(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(auto images, storage::list_images(store));
  TRY_ASSIGN(const auto uses, storage::list_uses(store));
  DiskUse use;
  Parts parts;
  for (const auto& image : images)
    for (const std::string& path : parts_of(image.record)) {
      TRY_ASSIGN(Part* const part, part_at(store.get(), parts, path));
      ++part->images;
    }
  for (const storage::ImageUse& each : uses)
    for (const std::string& path : parts_of(each.record))
      if (const auto found = parts.find(path); found != parts.end()) found->second.in_use = true;
  for (const auto& [path, part] : parts) {
    use.images_bytes += part.bytes;
    if (!part.in_use) use.reclaimable_bytes += part.bytes;
  }
  for (auto& image : images) {
    DiskUse::Image listed;
    for (const std::string& path : parts_of(image.record)) {
      const Part& part = parts.find(path)->second;
      listed.size += part.bytes;
      if (part.images > 1) listed.shared += part.bytes;
    }
    listed.containers =
        static_cast<std::size_t>(std::ranges::count_if(uses, [&](const storage::ImageUse& each) {
          return each.record.config_digest == image.record.config_digest;
        }));
    listed.image = std::move(image);
    use.images.push_back(std::move(listed));
  }
  TRY_ASSIGN(const auto sources, read_sources(store.get()));
  use.path_images = sources.size();
  Parts of_sources;
  for (const ImageRecord& record : sources)
    for (const std::string& path : parts_of(record))
      if (!parts.contains(path)) TRY(part_at(store.get(), of_sources, path));
  for (const auto& [path, part] : of_sources) use.path_bytes += part.bytes;
  TRY_ASSIGN(use.partial_bytes, partial_bytes(store.get()));
  TRY(add_containers(options, store.get(), use));
  return use;
}

}  // namespace bulkhead::engine
