#include "storage/unpack/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "oci/docker_archive.h"
#include "storage/images.h"
#include "storage/unpack/add_image.h"
#include "storage/unpack/decompress.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/spool.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kMostArchiveBytes = std::uint64_t{256} << 30;
constexpr const char* kFullName = "io.containerd.image.name";
constexpr const char* kReferenceName = "org.opencontainers.image.ref.name";

Result<Compression> compression_of(const Extent& extent) {
  Extent head;
  head.fd = extent.fd;
  head.offset = extent.offset;
  head.size = std::min<std::uint64_t>(extent.size, 8);
  TRY_ASSIGN(const std::string bytes, read_extent(head, 8));
  return bytes.size() < 4 ? Compression::kNone : sniff_compression(bytes);
}

class Loading {
 public:
  Loading(const Store& store, Ingest& ingest, Confinement& confinement, const ExtractLimits& limits,
          TransferObserver* observer)
      : store_(store),
        ingest_(ingest),
        confinement_(confinement),
        limits_(limits),
        observer_(observer) {}

  Result<Loaded> run(LoadSource wanted) {
    TRY_ASSIGN(const BlobSource source, open(std::move(wanted)));
    if (source.has("index.json")) {
      TRY(load_layout(source));
    } else if (source.has("manifest.json")) {
      TRY(load_docker_archive(source));
    } else {
      return fail(ErrorKind::kInvalid,
                  "this holds no image: there is neither manifest.json nor index.json in it",
                  "a tar of a root file system is taken in by bulkhead import");
    }
    return std::move(loaded_);
  }

 private:
  // Read in place where that can be done more than once.
  Result<BlobSource> open(LoadSource wanted) {
    Fd file;
    if (wanted.path.empty()) {
      file = Fd(::fcntl(wanted.input, F_DUPFD_CLOEXEC, 0));
      if (!file) return std::unexpected(Error(SysError{"fcntl", errno, "standard input"}));
    } else {
      TRY_ASSIGN(file, open_at(AT_FDCWD, wanted.path.c_str(), O_RDONLY | O_NOCTTY));
    }
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
    if (S_ISDIR(status.st_mode)) return BlobSource::adopt(std::move(file), wanted.path);
    Extent whole;
    whole.fd = file.get();
    whole.size = static_cast<std::uint64_t>(status.st_size);
    if (S_ISREG(status.st_mode) && ::lseek(file.get(), 0, SEEK_CUR) == 0) {
      TRY_ASSIGN(const Compression compression, compression_of(whole));
      if (compression == Compression::kNone) return BlobSource::adopt(std::move(file), wanted.path);
    }
    TRY_ASSIGN(Fd spooled, ingest_.new_file("archive"));
    TRY(spool_decompressed(file.get(), spooled.get(), kMostArchiveBytes, confinement_));
    return BlobSource::adopt(std::move(spooled), wanted.path);
  }

  void say(const std::string& id, const std::vector<Reference>& names) {
    for (const Reference& name : names) loaded_.lines.push_back("Loaded image: " + name.familiar());
    if (names.empty()) loaded_.lines.push_back("Loaded image ID: sha256:" + id);
  }

  // --- OCI layouts -------------------------------------------------------------------------------

  Result<void> load_layout(const BlobSource& source) {
    std::vector<oci::DockerArchiveImage> named;
    if (source.has("manifest.json")) {
      TRY_ASSIGN(const std::string text, source.read("manifest.json", kMostDocumentBytes));
      TRY_ASSIGN(named, oci::decode_docker_archive(text));
    }
    TRY_ASSIGN(std::vector<ListedManifest> listed, list_manifests(source));
    // One image may be listed once for each of its names.
    std::vector<ImageDocuments> images;
    std::vector<std::vector<Reference>> names;
    for (ListedManifest& each : listed) {
      std::size_t at = 0;
      while (at < images.size() && images[at].selected.digest != each.selected.digest) ++at;
      if (at == images.size()) {
        TRY_ASSIGN(ImageDocuments documents, read_documents(source, std::move(each.selected)));
        images.push_back(std::move(documents));
        names.emplace_back();
      }
      if (auto name = name_of(each.annotations))
        if (std::ranges::find(names[at], *name) == names[at].end())
          names[at].push_back(*std::move(name));
    }
    for (std::size_t i = 0; i < images.size(); ++i) {
      for (const oci::DockerArchiveImage& each : named)
        if (each.config == "blobs/sha256/" + images[i].config_digest) {
          TRY_ASSIGN(const auto tags, names_of(each));
          for (const Reference& name : tags)
            if (std::ranges::find(names[i], name) == names[i].end()) names[i].push_back(name);
        }
      TRY_ASSIGN(const std::vector<LayerToFill> layers, find_layers(source, images[i]));
      TRY(add_image(ingest_, store_, images[i], layers, names[i], confinement_, limits_,
                    loaded_.notes, observer_));
      say(images[i].config_digest, names[i]);
    }
    return {};
  }

  // What tools write differs: the whole name, or the tag alone, which names nothing by itself.
  static std::optional<Reference> name_of(const oci::Annotations& annotations) {
    for (const char* key : {kFullName, kReferenceName}) {
      const auto found = annotations.find(key);
      if (found == annotations.end() || found->second.find_first_of("/:") == std::string::npos)
        continue;
      auto name = parse_reference(found->second);
      if (name && name->digest.empty()) return *std::move(name);
    }
    return std::nullopt;
  }

  // --- Docker archives ---------------------------------------------------------------------------

  static Result<std::vector<Reference>> names_of(const oci::DockerArchiveImage& image) {
    std::vector<Reference> names;
    for (const std::string& tag : image.repo_tags) {
      TRY_ASSIGN(Reference name, parse_reference(tag));
      if (!name.digest.empty())
        return fail(ErrorKind::kInvalid, "manifest.json: the tag " + quoted(tag) + " has a digest");
      names.push_back(std::move(name));
    }
    return names;
  }

  Result<void> load_docker_archive(const BlobSource& source) {
    TRY_ASSIGN(const std::string text, source.read("manifest.json", kMostDocumentBytes));
    TRY_ASSIGN(const auto images, oci::decode_docker_archive(text));
    if (images.empty())
      return fail(ErrorKind::kInvalid, "the archive holds no image: its manifest.json is empty");
    for (const oci::DockerArchiveImage& image : images) {
      TRY_ASSIGN(const std::vector<Reference> names, names_of(image));
      TRY_ASSIGN(std::string config, source.read(image.config, kMostDocumentBytes));
      Sha256 digest;
      digest.update(config.data(), config.size());
      const std::string id = digest.hex();
      TRY_ASSIGN(const bool known, name_known(id, names));
      if (!known) TRY(add_docker_image(source, image, id, std::move(config), names));
      say(id, names);
    }
    return {};
  }

  // The archive does not know the image's manifest; where the store has one it keeps it, so that the
  // image can still be pushed as it was pulled.
  Result<bool> name_known(const std::string& id, const std::vector<Reference>& names) {
    if (!known_) {
      TRY_ASSIGN(known_, list_images(store_));
    }
    for (const StoredImage& image : *known_) {
      if (image.record.config_digest != id) continue;
      bool whole = true;
      std::vector<std::string> blobs = image.record.blobs;
      blobs.push_back(image.record.manifest_digest);
      blobs.push_back(id);
      for (const std::string& blob : blobs) {
        TRY_ASSIGN(const bool there, ingest_.hold_blob(blob));
        whole = whole && there;
      }
      for (const std::string& layer : image.record.layers) {
        TRY_ASSIGN(const bool there, ingest_.hold_layer(layer));
        whole = whole && there;
      }
      if (!image.record.implied.empty()) {
        TRY_ASSIGN(const bool there, ingest_.hold_layer(image.record.implied));
        whole = whole && there;
      }
      if (!whole) continue;
      TRY(ingest_.add_image(image.record, names));
      return true;
    }
    return false;
  }

  Result<void> add_docker_image(const BlobSource& source, const oci::DockerArchiveImage& image,
                                const std::string& id, std::string config,
                                const std::vector<Reference>& names) {
    ImageDocuments documents;
    documents.config_digest = id;
    documents.config_text = std::move(config);
    oci::Manifest& manifest = documents.selected.manifest;
    manifest.media_type = oci::kMediaTypeManifest;
    manifest.config.media_type = oci::kMediaTypeConfig;
    manifest.config.digest = "sha256:" + id;
    manifest.config.size = static_cast<std::int64_t>(documents.config_text.size());
    manifest.layers.resize(image.layers.size());
    TRY(read_config_text(documents));
    std::vector<LayerToFill> layers;
    for (std::size_t i = 0; i < image.layers.size(); ++i) {
      LayerToFill layer;
      layer.diff_id = documents.diff_ids[i];
      TRY_ASSIGN(layer.blob, source.find(image.layers[i]));
      TRY_ASSIGN(const Compression compression, compression_of(layer.blob));
      oci::Descriptor& descriptor = manifest.layers[i];
      descriptor.media_type = compression == Compression::kGzip   ? oci::kMediaTypeLayerTarGzip
                              : compression == Compression::kZstd ? oci::kMediaTypeLayerTarZstd
                                                                  : oci::kMediaTypeLayerTar;
      layer.digest = layer.diff_id;
      if (compression != Compression::kNone) {
        TRY_ASSIGN(layer.digest, hash_extent(layer.blob));
      }
      descriptor.digest = "sha256:" + layer.digest;
      descriptor.size = static_cast<std::int64_t>(layer.blob.size);
      layers.push_back(std::move(layer));
    }
    documents.selected.text = oci::encode(manifest);
    Sha256 digest;
    digest.update(documents.selected.text.data(), documents.selected.text.size());
    documents.selected.digest = digest.hex();
    return add_image(ingest_, store_, documents, layers, names, confinement_, limits_,
                     loaded_.notes, observer_);
  }

  const Store& store_;
  Ingest& ingest_;
  Confinement& confinement_;
  const ExtractLimits& limits_;
  TransferObserver* observer_;                     // null: nobody watches
  std::optional<std::vector<StoredImage>> known_;  // before this load; listed when first needed
  Loaded loaded_;
};

}  // namespace

Result<Loaded> load_images(const std::string& store_path, LoadSource source,
                           Confinement& confinement, const ExtractLimits& limits,
                           TransferObserver* observer) {
  TRY_ASSIGN(const Store store, Store::open(store_path));
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store));
  return Loading(store, ingest, confinement, limits, observer).run(std::move(source));
}

}  // namespace bulkhead::storage
