// Bringing one blob into a repository.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/registry/client.h"

namespace bulkhead::storage {

struct BlobToUpload {
  std::string digest;  // hex
  int file = -1;
  std::uint64_t size = 0;
  std::vector<std::string> sources;  // repositories of the same registry that may have it
};

enum class UploadOutcome : std::uint32_t { kUploaded, kThere, kMounted };

// In one piece, or in chunks when it is large or the registry wants that; taken up again after an
// interruption where the registry can tell how far it came.
Result<UploadOutcome> upload_blob(RegistryClient& client, const BlobToUpload& blob,
                                  const std::function<void(std::uint64_t)>& on_sent);

// The upload's URL with the digest that ends it.
std::string with_digest(std::string location, const std::string& hex);
// "0-1023" or "bytes=0-1023": how many bytes the registry has; 0 for anything else.
std::uint64_t received_bytes(std::string_view range);

}  // namespace bulkhead::storage
