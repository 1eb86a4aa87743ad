#include "storage/unpack/check.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "storage/collect.h"
#include "storage/images.h"
#include "storage/ingest.h"
#include "storage/store_lock.h"
#include "storage/unpack/add_image.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/examine_tree.h"
#include "storage/unpack/implied_directories.h"
#include "storage/unpack/repair_layers.h"
#include "storage/unpack/store_blobs.h"
#include "storage/unpack/unpack_layer.h"
#include "sys/directory.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

using Digests = std::set<std::string, std::less<>>;

bool exists(const Store& store, const std::string& path) {
  return ::faccessat(store.get(), path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

class Checking {
 public:
  Checking(const Store& store, const CheckOptions& options, Confinement& confinement,
           const ExtractLimits& limits)
      : store_(store), options_(options), confinement_(confinement), limits_(limits) {}

  Result<CheckReport> run() {
    TRY(check_blobs());
    TRY(check_layers());
    TRY(check_records());
    TRY(check_names());
    TRY(check_uses());
    TRY(find_left_over());
    return std::move(report_);
  }

 private:
  // With what a repair did or did not do about it.
  void problem(std::string text, const std::string& done = {}) {
    if (options_.repair && !done.empty()) {
      text += ": " + done;
    } else {
      ++report_.unrepaired;
    }
    report_.problems.push_back(std::move(text));
  }

  // Out of its place, if it is still the same file and no container uses it. The name of such a
  // container otherwise.
  Result<std::optional<std::string>> take_away(const std::string& path, std::string_view digest) {
    TRY_ASSIGN(Fd lock, lock_store(store_.get(), StoreAccess::kRemove));
    const auto uses = list_uses(store_);
    if (uses)
      for (const ImageUse& use : *uses)
        if (path.starts_with(kLayers) &&
            (use.record.implied == digest ||
             std::ranges::find(use.record.layers, digest) != use.record.layers.end()))
          return use.container.substr(0, 12);
    TRY(move_to_trash(store_, path));
    return std::nullopt;
  }

  // --- blobs -------------------------------------------------------------------------------------

  Result<void> check_blobs() {
    TRY_ASSIGN(const auto names, list_directory(store_.get(), kBlobs));
    for (const std::string& name : names) {
      const std::string path = blob_path(name);
      if (!is_hex_digest(name)) {
        std::string done;
        if (options_.repair) {
          TRY(take_away(path, name));
          done = "removed";
        }
        problem(quoted(path) + " is no blob", done);
        continue;
      }
      const auto blob = open_blob(store_, name);
      if (!blob) continue;  // just removed
      TRY_ASSIGN(const std::string digest, hash_extent(*blob));
      ++report_.blobs;
      report_.bytes += blob->size;
      if (digest == name) continue;
      damaged_blobs_.insert(name);
      std::string done;
      if (options_.repair) {
        TRY(take_away(path, name));
        done = "removed";
      }
      problem("the blob " + name + " is damaged", done);
    }
    return {};
  }

  bool has_blob(const std::string& hex) const {
    return !damaged_blobs_.contains(hex) && exists(store_, blob_path(hex));
  }

  // --- layers ------------------------------------------------------------------------------------

  Result<void> check_layers() {
    TRY_ASSIGN(const auto images, list_images(store_));
    for (const StoredImage& image : images)
      for (std::size_t i = 0; i < image.record.blobs.size(); ++i)
        made_from_.try_emplace(image.record.layers[i], image.record.manifest_digest,
                               image.record.blobs[i]);
    TRY_ASSIGN(const auto names, list_directory(store_.get(), kLayers));
    for (const std::string& name : names) {
      if (name == kEmptyLayerName) continue;
      TRY_ASSIGN(const auto wrong, what_is_wrong_with(name));
      ++report_.layers;
      if (!wrong || !exists(store_, layer_path(name))) continue;
      TRY(repair_layer(name, *wrong));
    }
    return {};
  }

  Result<std::optional<std::string>> what_is_wrong_with(const std::string& name) {
    if (!is_hex_digest(name)) return "is no layer of this program's";
    const auto directory =
        open_at(store_.get(), layer_path(name).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory) {
      if (directory.error().error == ENOENT) return std::nullopt;
      return std::string("cannot be opened");
    }
    TRY_ASSIGN(const auto recorded, read_tree_record(store_.get(), name));
    if (!recorded) return std::string("has no record of what it should look like");
    const auto found = examine_tree(directory->get());
    // Somebody is just removing it, or it cannot be read.
    if (!found) return "cannot be read (" + found.error().message() + ")";
    if (found->digest != recorded->digest)
      return "is not what was unpacked: " + std::to_string(found->entries) + " entries of " +
             std::to_string(found->bytes) + " bytes, not " + std::to_string(recorded->entries) +
             " of " + std::to_string(recorded->bytes) +
             (found->entries == recorded->entries && found->bytes == recorded->bytes
                  ? ", or with other owners, modes, times or attributes"
                  : "");
    if (options_.contents) return compare_contents(name, directory->get());
    return std::nullopt;
  }

  Result<std::optional<std::string>> compare_contents(const std::string& name, int directory) {
    const auto origin = made_from_.find(name);
    if (origin == made_from_.end() || !has_blob(origin->second.second)) return std::nullopt;
    TRY_ASSIGN(Ingest ingest, Ingest::begin(store_));
    TRY_ASSIGN(const Fd again, ingest.new_directory("again"));
    TRY_ASSIGN(const Extent blob, open_blob(store_, origin->second.second));
    LayerToUnpack layer;
    layer.source = LayerSource::of(blob);
    layer.digest = origin->second.second;
    layer.diff_id = name;
    layer.directory = again.get();
    TRY(unpack_layer(layer, confinement_, limits_));
    TRY_ASSIGN(const TreeRecord expected, examine_tree(again.get(), TreeContents::kIncluded));
    TRY_ASSIGN(const TreeRecord found, examine_tree(directory, TreeContents::kIncluded));
    if (found.digest == expected.digest) return std::nullopt;
    return std::string("has files with another content than its blob");
  }

  Result<void> repair_layer(const std::string& name, const std::string& wrong) {
    const std::string text = "the layer " + name + " " + wrong;
    if (!options_.repair) {
      problem(text);
      return {};
    }
    TRY_ASSIGN(const auto user, take_away(layer_path(name), name));
    if (user) {
      problem(text + ": the container " + *user + " uses it; remove that first");
      return {};
    }
    const auto origin = made_from_.find(name);
    if (origin == made_from_.end()) {
      // Of an image by its path, or nobody's: it is made again when that is run.
      problem(text, "removed");
      return {};
    }
    const auto restored =
        restore_layers(store_.path(), origin->second.first, confinement_, limits_);
    if (restored)
      problem(text, "unpacked again");
    else
      problem(text + ": it cannot be unpacked again: " + restored.error().message());
    return {};
  }

  // --- images ------------------------------------------------------------------------------------

  Result<void> check_records() {
    TRY_ASSIGN(const auto names, list_directory(store_.get(), kImages));
    for (const std::string& name : names) {
      ++report_.images;
      const std::string what = "the image " + name.substr(0, 12);
      if (!is_hex_digest(name)) {
        std::string done;
        if (options_.repair) {
          TRY(take_away(image_path(name), name));
          done = "removed";
        }
        problem(quoted(image_path(name)) + " is no record of an image", done);
        continue;
      }
      TRY_ASSIGN(auto record, store_.find_manifest(name));
      if (!record) {
        if (!exists(store_, image_path(name))) continue;
        if (!options_.repair) {
          problem(what + " has a record that cannot be read");
          continue;
        }
        const auto made = make_record(name);
        if (!made) {
          TRY(drop_image(name,
                         what + " has a record that cannot be read, and cannot be made anew"));
          continue;
        }
        problem(what + " has a record that cannot be read", "written anew");
        record = *made;
      }
      TRY(check_parts(*record, what));
    }
    return {};
  }

  // The same from the image's documents.
  Result<ImageRecord> make_record(const std::string& manifest) {
    const auto read_blob = [&](const std::string& hex) -> Result<std::string> {
      TRY_ASSIGN(const Extent blob, open_blob(store_, hex));
      return read_extent(blob, kMostDocumentBytes);
    };
    ImageDocuments documents;
    documents.selected.digest = manifest;
    TRY_ASSIGN(documents.selected.text, read_blob(manifest));
    TRY_ASSIGN(documents.selected.manifest, oci::decode_manifest(documents.selected.text));
    TRY_ASSIGN(documents.config_digest, sha256_of(documents.selected.manifest.config.digest));
    TRY_ASSIGN(documents.config_text, read_blob(documents.config_digest));
    TRY(read_config_text(documents));
    ImageRecord record = record_of(documents);
    for (const oci::Descriptor& layer : documents.selected.manifest.layers) {
      TRY_ASSIGN(std::string hex, sha256_of(layer.digest));
      record.blobs.push_back(std::move(hex));
    }
    TRY_ASSIGN(record.size, size_of_layers(store_, record.layers));
    TRY_ASSIGN(Ingest ingest, Ingest::begin(store_));
    for (const std::string& layer : record.layers) TRY(ingest.hold_layer(layer));
    // Where a layer is lost, restore_layers() does this.
    if (store_.has_layers(record)) {
      TRY_ASSIGN(record.implied, complete_directories(ingest, store_, record.layers));
    }
    TRY(ingest.add_image(record, {}));
    return record;
  }

  Result<void> check_parts(const ImageRecord& record, const std::string& what) {
    // Somebody is just removing it.
    if (!exists(store_, image_path(record.manifest_digest))) return {};
    std::vector<std::string> lost;
    for (const std::string* document : {&record.manifest_digest, &record.config_digest})
      if (!has_blob(*document)) lost.push_back(*document);
    if (!lost.empty())
      return drop_image(record.manifest_digest,
                        what + " has lost its " +
                            (lost.front() == record.config_digest ? "configuration" : "manifest"));
    Sha256 digest;
    digest.update(record.config.data(), record.config.size());
    if (digest.hex() != record.config_digest) {
      std::string done;
      if (options_.repair) {
        TRY(make_record(record.manifest_digest));
        done = "written anew";
      }
      problem(what + " has a record with another configuration than its own", done);
    }
    std::vector<std::string> layers;
    bool unpackable = true;
    for (std::size_t i = 0; i < record.layers.size(); ++i) {
      const bool has_layer = exists(store_, layer_path(record.layers[i]));
      const bool blob = has_blob(record.blobs[i]);
      if ((!has_layer || !blob) && !exists(store_, image_path(record.manifest_digest))) return {};
      if (!has_layer) layers.push_back(record.layers[i]);
      if (!has_layer && !blob) unpackable = false;
      if (!blob && has_layer)
        problem(
            what + " has lost the blob " + record.blobs[i] +
            ": it can be run, but neither saved nor pushed, until it is loaded or pulled again");
    }
    if (!record.implied.empty() && !exists(store_, layer_path(record.implied)))
      layers.push_back(record.implied);
    if (!unpackable)
      return drop_image(record.manifest_digest, what + " has lost a layer and its blob");
    if (layers.empty()) return {};
    std::string done;
    if (options_.repair) {
      const auto restored =
          restore_layers(store_.path(), record.manifest_digest, confinement_, limits_);
      if (!restored)
        return drop_image(record.manifest_digest,
                          what + " has lost a layer that cannot be unpacked again (" +
                              restored.error().message() + ")");
      done = "unpacked again";
    }
    problem(what + " has lost the layer " + layers.front(), done);
    return {};
  }

  Result<void> drop_image(const std::string& manifest, const std::string& text) {
    if (!exists(store_, image_path(manifest))) return {};  // somebody has just removed it
    if (!options_.repair) {
      problem(text);
      return {};
    }
    TRY_ASSIGN(const Fd lock, lock_store(store_.get(), StoreAccess::kRemove));
    TRY_ASSIGN(const ImageNames names, list_image_names(store_.get()));
    std::string done = "removed";
    for (const ImageName& name : names.names) {
      if (name.manifest != manifest) continue;
      TRY(remove_image_name(store_.get(), name.reference));
      done += ", with its name " + name.reference.familiar();
    }
    TRY(move_to_trash(store_, image_path(manifest)));
    problem(text, done);
    return {};
  }

  // --- names, containers, leftovers --------------------------------------------------------------

  Result<void> check_names() {
    TRY_ASSIGN(const ImageNames names, list_image_names(store_.get()));
    for (const ImageName& name : names.names) {
      if (exists(store_, image_path(name.manifest))) continue;
      // It may have been removed in this moment, name first.
      TRY_ASSIGN(const auto now, read_image_name(store_.get(), name.reference));
      if (!now || exists(store_, image_path(*now))) continue;
      std::string done;
      if (options_.repair) {
        // The image's documents may still be here.
        const auto made = make_record(name.manifest);
        if (made) {
          problem("the name " + name.reference.familiar() + " leads to no image",
                  "its record was written anew");
          TRY(check_parts(*made, "the image " + name.manifest.substr(0, 12)));
          continue;
        }
        TRY_ASSIGN(const Fd lock, lock_store(store_.get(), StoreAccess::kRemove));
        TRY(remove_image_name(store_.get(), name.reference));
        done = "removed";
      }
      problem("the name " + name.reference.familiar() + " leads to no image", done);
    }
    for (const std::string& path : names.foreign) {
      std::string done;
      if (options_.repair) {
        TRY(take_away(path, ""));
        done = "removed";
      }
      problem(quoted(path) + " is no name of an image", done);
    }
    return {};
  }

  Result<void> check_uses() {
    if (const auto uses = list_uses(store_); !uses) problem(uses.error().message());
    return {};
  }

  Result<void> find_left_over() {
    TRY_ASSIGN(Fd lock, lock_store(store_.get(), StoreAccess::kRemove));
    // With something that cannot be read nobody knows what is in use; it has been told above.
    const auto in_use = find_in_use(store_);
    if (!in_use) return {};
    const auto look = [&](const char* directory, const Digests& used) -> Result<void> {
      TRY_ASSIGN(const auto names, list_directory(store_.get(), directory));
      for (const std::string& name : names)
        if (name != kEmptyLayerName && name != kSpareTrash && !used.contains(name))
          report_.left_over.push_back(path_in(directory, name));
      return {};
    };
    TRY(look(kBlobs, in_use->blobs));
    TRY(look(kLayers, in_use->layers));
    TRY(look(kTrees, in_use->layers));
    report_.left_over.insert(report_.left_over.end(), in_use->abandoned.begin(),
                             in_use->abandoned.end());
    TRY(look(kTrash, {}));
    if (!options_.repair) return {};
    TRY(collect(store_, std::move(lock)));
    return {};
  }

  const Store& store_;
  const CheckOptions& options_;
  Confinement& confinement_;
  const ExtractLimits& limits_;
  CheckReport report_;
  Digests damaged_blobs_;
  // A layer's image and blob.
  std::map<std::string, std::pair<std::string, std::string>, std::less<>> made_from_;
};

}  // namespace

Result<CheckReport> check_store(const std::string& store_path, const CheckOptions& options,
                                Confinement& confinement, const ExtractLimits& limits) {
  TRY_ASSIGN(const Store store, Store::open(store_path));
  return Checking(store, options, confinement, limits).run();
}

}  // namespace bulkhead::storage
