#include "storage/unpack/store_blobs.h"

#include <sys/stat.h>

#include "sys/file.h"

namespace bulkhead::storage {

Result<Extent> open_blob(const Store& store, const std::string& hex) {
  const std::string path = blob_path(hex);
  auto file = open_at(store.get(), path.c_str(), O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().error == ENOENT)
    return fail(ErrorKind::kState, "the store has lost the blob " + hex,
                "bulkhead system check says what else is missing; load or pull the image again");
  if (!file) return std::unexpected(Error(file.error()));
  struct stat status{};
  if (::fstat(file->get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  Extent extent;
  extent.size = static_cast<std::uint64_t>(status.st_size);
  extent.owner = *std::move(file);
  extent.fd = extent.owner.get();
  return extent;
}

}  // namespace bulkhead::storage
