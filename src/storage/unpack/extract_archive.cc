#include "storage/unpack/extract_archive.h"

#include <sys/stat.h>

#include "storage/ingest.h"
#include "storage/unpack/spool.h"
#include "storage/unpack/unpack_layer.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 30;

}  // namespace

Result<std::vector<std::string>> extract_archive(const std::string& store_path, int input,
                                                 int directory, Confinement& confinement,
                                                 ExtractLimits limits) {
  TRY_ASSIGN(const Store store, Store::open(store_path));
  // A staging directory of its own, which is removed at the end, or by the next process.
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store));
  TRY_ASSIGN(const Fd file, ingest.new_file("tar"));
  LayerToUnpack archive;
  TRY_ASSIGN(archive.digest, spool(input, file.get(), kMostBytes));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  if (status.st_size == 0)
    return fail(ErrorKind::kInvalid, "the input is empty: a tar is expected");
  Extent whole;
  whole.fd = file.get();
  whole.size = static_cast<std::uint64_t>(status.st_size);
  archive.source = LayerSource::of(whole);
  archive.directory = directory;
  limits.whiteouts = false;
  TRY_ASSIGN(const ExtractReport report, unpack_layer(archive, confinement, limits));
  std::vector<std::string> notes;
  if (report.skipped_devices != 0)
    notes.push_back(std::to_string(report.skipped_devices) + " device nodes were left out");
  if (report.skipped_attributes != 0)
    notes.push_back(std::to_string(report.skipped_attributes) +
                    " extended attributes were left out, which the file system does not have");
  return notes;
}

}  // namespace bulkhead::storage
