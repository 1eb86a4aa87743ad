#include "storage/unpack/import_tree.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"
#include "storage/unpack/add_image.h"
#include "storage/unpack/decompress.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/examine_tree.h"
#include "storage/unpack/spool.h"
#include "storage/unpack/unpack_layer.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 30;

std::string sha256_of_text(const std::string& text) {
  Sha256 digest;
  digest.update(text.data(), text.size());
  return digest.hex();
}

}  // namespace

Result<ImportedTree> import_tree(const std::string& store_path, const TreeToImport& tree,
                                 Confinement& confinement, const ExtractLimits& limits) {
  TRY_ASSIGN(const Store store, Store::open(store_path));
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store));
  TRY_ASSIGN(oci::ImageConfig config, oci::decode_image_config(tree.config));
  if (config.architecture.empty()) config.architecture = own_architecture();

  LayerToUnpack layer;
  TRY_ASSIGN(const Fd file, ingest.new_file("tar"));
  TRY_ASSIGN(layer.digest, spool(tree.input, file.get(), kMostBytes));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  Extent whole;
  whole.fd = file.get();
  whole.size = static_cast<std::uint64_t>(status.st_size);
  if (whole.size == 0) return fail(ErrorKind::kInvalid, "the input is empty: a tar is expected");
  layer.source = LayerSource::of(whole);
  Extent head;
  head.fd = file.get();
  head.size = std::min<std::uint64_t>(whole.size, 8);
  TRY_ASSIGN(const std::string bytes, read_extent(head, 8));
  const Compression compression = bytes.size() < 4 ? Compression::kNone : sniff_compression(bytes);

  TRY_ASSIGN(const Fd directory, ingest.new_directory("tree"));
  layer.directory = directory.get();
  TRY_ASSIGN(const ExtractReport report, unpack_layer(layer, confinement, limits));
  TRY_ASSIGN(TreeRecord record, examine_tree(directory.get()));
  record.implied = report.tree.implied;
  if (record.entries <= 1)
    return fail(ErrorKind::kInvalid, "the tar holds nothing",
                "a tar of a root file system is expected: tar -C ROOTFS -c .");
  TRY(ingest.keep_directory("tree", report.diff_id));
  TRY(ingest.describe_layer(report.diff_id, record));
  TRY(ingest.keep_file("tar", layer.digest));
  TRY(ingest.publish());

  ImageDocuments documents;
  config.rootfs.diff_ids = {"sha256:" + report.diff_id};
  documents.config_text = oci::encode(config);
  documents.config_digest = sha256_of_text(documents.config_text);
  oci::Manifest& manifest = documents.selected.manifest;
  manifest.media_type = oci::kMediaTypeManifest;
  manifest.config.media_type = oci::kMediaTypeConfig;
  manifest.config.digest = "sha256:" + documents.config_digest;
  manifest.config.size = static_cast<std::int64_t>(documents.config_text.size());
  oci::Descriptor descriptor;
  descriptor.media_type = compression == Compression::kGzip   ? oci::kMediaTypeLayerTarGzip
                          : compression == Compression::kZstd ? oci::kMediaTypeLayerTarZstd
                                                              : oci::kMediaTypeLayerTar;
  descriptor.digest = "sha256:" + layer.digest;
  descriptor.size = static_cast<std::int64_t>(whole.size);
  manifest.layers.push_back(std::move(descriptor));
  TRY(read_config_text(documents));
  documents.selected.text = oci::encode(manifest);
  documents.selected.digest = sha256_of_text(documents.selected.text);

  ImportedTree imported;
  imported.id = "sha256:" + documents.config_digest;
  note_skipped(report, "", imported.notes);
  LayerToFill filled;
  filled.diff_id = report.diff_id;
  filled.digest = layer.digest;
  std::vector<Reference> names;
  if (tree.name) names.push_back(*tree.name);
  TRY(add_image(ingest, store, documents, {&filled, 1}, names, confinement, limits,
                imported.notes));
  return imported;
}

}  // namespace bulkhead::storage
