#include "storage/collect.h"

#include <sys/stat.h>

#include <utility>

#include "base/text.h"
#include "storage/image_names.h"
#include "storage/images.h"
#include "storage/ingest.h"
#include "storage/layout.h"
#include "storage/store_lock.h"
#include "storage/tree_record.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/random.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kLargestRecord = 8 << 20;
constexpr std::string_view kErofsSuffix = ".erofs";

void use(InUse& in_use, const ImageRecord& record) {
  in_use.blobs.insert(record.manifest_digest);
  in_use.blobs.insert(record.config_digest);
  in_use.blobs.insert(record.blobs.begin(), record.blobs.end());
  in_use.layers.insert(record.layers.begin(), record.layers.end());
  if (!record.implied.empty()) in_use.layers.insert(record.implied);
}

// Images by their path. One that cannot be read is no loss: it is made anew when it is asked for.
Result<void> use_sources(const Store& store, InUse& in_use) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(store.get(), kSources));
  for (const std::string& name : names) {
    const auto text = read_file_at(store.get(), path_in(kSources, name).c_str(), kLargestRecord);
    if (!text) continue;
    if (const auto record = decode_record(*text)) use(in_use, *record);
  }
  return {};
}

Result<void> sync_directory(int store, const char* path) {
  const auto directory = open_at(store, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory && directory.error().error == ENOENT) return {};
  if (!directory) return std::unexpected(Error(directory.error()));
  if (::fsync(directory->get()) != 0) return std::unexpected(Error(SysError{"fsync", errno, path}));
  return {};
}

// Where things are taken to: a directory that is locked while somebody deletes what is in it. Made and
// filled under the store's exclusive lock, emptied without it.
class Trash {
 public:
  static Result<Trash> make(int store) {
    Trash trash;
    trash.store_ = store;
    TRY_ASSIGN(trash.prefix_, random_name());
    // What processes that were killed have left is deleted along.
    TRY_ASSIGN(const std::vector<std::string> others, list_directory(store, kTrash));
    for (const std::string& name : others) {
      auto other = open_at(store, path_in(kTrash, name).c_str(), kDirectoryFlags);
      if (other && try_lock_exclusive(other->get()))
        trash.places_.push_back({name, *std::move(other)});
    }
    // A full disk is when things are removed, and may have no room for a directory.
    const bool made = ::mkdirat(store, path_in(kTrash, trash.prefix_).c_str(), 0700) == 0;
    if (!made && errno != ENOSPC && errno != EDQUOT)
      return std::unexpected(Error(SysError{"mkdir", errno, kTrash}));
    const std::string name = made ? trash.prefix_ : std::string(kSpareTrash);
    trash.directory_ = trash.find(name);
    if (trash.directory_ >= 0) return trash;
    TRY_ASSIGN(Fd directory, open_at(store, path_in(kTrash, name).c_str(), kDirectoryFlags));
    TRY(lock_exclusive(directory.get()));
    trash.directory_ = directory.get();
    trash.places_.push_back({name, std::move(directory)});
    return trash;
  }

  Result<bool> take(const std::string& path) {
    const std::string name = prefix_ + "-" + std::to_string(count_++);
    if (::renameat(store_, path.c_str(), directory_, name.c_str()) == 0) return true;
    if (errno == ENOENT) return false;
    return std::unexpected(Error(SysError{"rename", errno, path.c_str()}));
  }

  Result<void> empty() {
    for (const Place& place : places_) {
      TRY_ASSIGN(const std::vector<std::string> names, list_directory(place.lock.get(), "."));
      for (const std::string& name : names) TRY(remove_tree_at(place.lock.get(), name.c_str()));
      if (place.name != kSpareTrash)
        (void)::unlinkat(store_, path_in(kTrash, place.name).c_str(), AT_REMOVEDIR);
    }
    return {};
  }

 private:
  static constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  struct Place {
    std::string name;
    Fd lock;
  };
  int find(std::string_view name) const {
    for (const Place& place : places_)
      if (place.name == name) return place.lock.get();
    return -1;
  }

  int store_ = -1;
  std::string prefix_;
  int directory_ = -1;  // one of the places'
  std::vector<Place> places_;
  unsigned count_ = 0;
};

std::uint64_t size_of(int store, const std::string& path) {
  struct stat status{};
  if (::fstatat(store, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_size);
}

Result<void> take_layers(const Store& store, const InUse& in_use, Trash& trash,
                         Collected& collected) {
  TRY_ASSIGN(const std::vector<std::string> layers, list_directory(store.get(), kLayers));
  for (const std::string& layer : layers) {
    if (layer == kEmptyLayerName || in_use.layers.contains(layer)) continue;
    TRY_ASSIGN(const auto tree, read_tree_record(store.get(), layer));
    TRY_ASSIGN(const bool taken, trash.take(layer_path(layer)));
    if (!taken) continue;
    if (tree) collected.bytes += tree->bytes;
    collected.layers.push_back(layer);
  }
  // What was made of layers, or says something of them, goes with them.
  TRY_ASSIGN(const std::vector<std::string> trees, list_directory(store.get(), kTrees));
  for (const std::string& tree : trees)
    if (!in_use.layers.contains(tree)) TRY(trash.take(tree_path(tree)));
  TRY_ASSIGN(const std::vector<std::string> images, list_directory(store.get(), kErofsLayers));
  for (const std::string& image : images) {
    std::string_view diff_id = image;
    if (!diff_id.ends_with(kErofsSuffix)) continue;
    diff_id.remove_suffix(kErofsSuffix.size());
    if (in_use.layers.contains(diff_id)) continue;
    const std::string path = path_in(kErofsLayers, image);
    const std::uint64_t size = size_of(store.get(), path);
    TRY_ASSIGN(const bool taken, trash.take(path));
    if (taken) collected.bytes += size;
  }
  return {};
}

Result<void> take_blobs(const Store& store, const InUse& in_use, Trash& trash,
                        Collected& collected) {
  TRY_ASSIGN(const std::vector<std::string> blobs, list_directory(store.get(), kBlobs));
  for (const std::string& blob : blobs) {
    if (in_use.blobs.contains(blob)) continue;
    const std::string path = blob_path(blob);
    const std::uint64_t size = size_of(store.get(), path);
    TRY_ASSIGN(const bool taken, trash.take(path));
    if (!taken) continue;
    collected.bytes += size;
    collected.blobs.push_back(blob);
  }
  return {};
}

Result<void> take_partial_blobs(const Store& store, Trash& trash, Collected& collected) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(store.get(), kPartialBlobs));
  for (const std::string& name : names) {
    const std::string path = partial_blob_path(name);
    const auto file = open_at(store.get(), path.c_str(), O_RDONLY | O_NOFOLLOW);
    if (!file || !try_lock_exclusive(file->get())) continue;
    const std::uint64_t size = size_of(store.get(), path);
    TRY_ASSIGN(const bool taken, trash.take(path));
    if (taken) collected.bytes += size;
  }
  return {};
}

Result<void> take_sources(const Store& store, Trash& trash) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(store.get(), kSources));
  for (const std::string& name : names) TRY(trash.take(path_in(kSources, name)));
  return {};
}

// Claims of processes that are gone.
Result<void> clear_claims(const Store& store) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(store.get(), kClaims));
  for (const std::string& name : names) {
    const std::string path = path_in(kClaims, name);
    const auto file = open_at(store.get(), path.c_str(), O_RDONLY | O_NOFOLLOW);
    if (file && try_lock_exclusive(file->get())) (void)::unlinkat(store.get(), path.c_str(), 0);
  }
  return {};
}

}  // namespace

Result<InUse> find_in_use(const Store& store) {
  InUse in_use;
  TRY_ASSIGN(HeldByIngests held, read_held(store.get()));
  in_use.blobs = std::move(held.blobs);
  in_use.layers = std::move(held.layers);
  in_use.abandoned = std::move(held.abandoned);

  TRY_ASSIGN(const std::vector<std::string> manifests, list_directory(store.get(), kImages));
  for (const std::string& manifest : manifests) {
    if (!is_hex_digest(manifest)) continue;
    TRY_ASSIGN(const auto record, store.find_manifest(manifest));
    if (!record)
      return fail(ErrorKind::kInvalid,
                  "the store's record of the image " + manifest.substr(0, 12) +
                      " cannot be read: what it uses is not known, so nothing is taken away",
                  "bulkhead system check --repair makes it anew from its manifest");
    in_use.images.insert(manifest);
    use(in_use, *record);
  }
  // The index that an image was chosen from is what its name's digest means.
  TRY_ASSIGN(const ImageNames names, list_image_names(store.get()));
  for (const ImageName& name : names.names)
    if (name.reference.digest.starts_with("sha256:"))
      in_use.blobs.insert(name.reference.digest.substr(7));
  TRY(use_sources(store, in_use));
  TRY_ASSIGN(const std::vector<ImageUse> uses, list_uses(store));
  for (const ImageUse& each : uses) use(in_use, each.record);
  return in_use;
}

Result<Collected> collect(const Store& store, Fd lock, const CollectOptions& options) {
  Collected collected;
  TRY_ASSIGN(Trash trash, Trash::make(store.get()));
  for (const std::string& manifest : options.images) TRY(trash.take(image_path(manifest)));
  if (options.sources) TRY(take_sources(store, trash));
  // What a record names goes only after the record is gone for good.
  for (const char* directory : {kImages, kSources}) TRY(sync_directory(store.get(), directory));
  TRY_ASSIGN(const InUse in_use, find_in_use(store));
  TRY(clear_unfinished_names(store.get()));
  TRY(clear_claims(store));
  for (const std::string& path : in_use.abandoned) TRY(trash.take(path));
  if (options.partial_blobs) TRY(take_partial_blobs(store, trash, collected));
  // Layers before what describes them and blobs that they could be made from: whatever is left when
  // this is killed is whole.
  TRY(take_layers(store, in_use, trash, collected));
  TRY(take_blobs(store, in_use, trash, collected));
  lock.reset();
  TRY(trash.empty());
  return collected;
}

Result<void> sweep_abandoned(const Store& store) {
  TRY_ASSIGN(auto lock, try_lock_store(store.get()));
  if (!lock) return {};
  TRY_ASSIGN(const HeldByIngests held, read_held(store.get()));
  if (held.abandoned.empty()) return {};
  TRY_ASSIGN(Trash trash, Trash::make(store.get()));
  for (const std::string& path : held.abandoned) TRY(trash.take(path));
  lock.reset();
  return trash.empty();
}

Result<void> move_to_trash(const Store& store, const std::string& path) {
  TRY_ASSIGN(Trash trash, Trash::make(store.get()));
  TRY(trash.take(path));
  return {};
}

}  // namespace bulkhead::storage
