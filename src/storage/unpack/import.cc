#include "storage/unpack/import.h"

#include "base/text.h"
#include "storage/ingest.h"
#include "storage/unpack/image_documents.h"
#include "storage/unpack/implied_directories.h"

namespace bulkhead::storage {
namespace {

Result<ImportNotices> import_into(Ingest& ingest, const Store& store, const Import& wanted,
                                  Confinement& confinement, const ExtractLimits& limits) {
  TRY_ASSIGN(const BlobSource source, BlobSource::open(wanted.source));
  TRY_ASSIGN(const SourceIdentity identity, source.identity());
  TRY_ASSIGN(SelectedManifest selected, select_manifest(source, wanted.reference));
  TRY_ASSIGN(const ImageDocuments image, read_documents(source, std::move(selected)));
  if (image.platform != own_platform())
    return fail(ErrorKind::kUnsupported, "the image is for " + quoted(image.platform) +
                                             ", this machine is " + own_platform());
  TRY_ASSIGN(const std::vector<LayerToFill> layers, find_layers(source, image));
  ImportNotices notices;
  TRY(fill_layers(ingest, layers, Blobs::kNotKept, confinement, limits, notices.lines));
  TRY_ASSIGN(const SourceIdentity identity_after, source.identity());
  if (identity_after != identity)
    return fail(ErrorKind::kState, "the image changed while it was read",
                "wait until whatever writes it is done, and try again");

  TRY(ingest.add_blob(image.selected.digest, image.selected.text));
  TRY(ingest.add_blob(image.config_digest, image.config_text));
  TRY(ingest.publish());
  ImageRecord record = record_of(image);
  record.key = ImageSource{wanted.source, wanted.reference, {}}.key();
  record.identity = identity;
  TRY_ASSIGN(record.implied, complete_directories(ingest, store, record.layers));
  TRY(ingest.add_source(record));
  return notices;
}

}  // namespace

Result<ImportNotices> import_image(const Import& wanted, Confinement& confinement,
                                   const ExtractLimits& limits) {
  TRY_ASSIGN(const Store store, Store::open(wanted.store));
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store));
  return import_into(ingest, store, wanted, confinement, limits);
}

}  // namespace bulkhead::storage
