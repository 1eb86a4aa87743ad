// What a container has of the store beyond directories: written before any of it is made, so that
// whatever a killed engine leaves can be given back; and for who asks what a container has.
#pragma once

#include <optional>
#include <string>

#include "base/id.h"
#include "base/result.h"
#include "storage/snapshot.h"

namespace bulkhead::engine {

struct StorageRecord {
  storage::Layers layers;
  std::optional<storage::SizeLimit> limit;
  HostUid first_uid;  // of the container's range: the number of its project where that is the limit
  // Layers in directories without a limit: the record is left out then.
  bool is_default() const { return layers == storage::Layers{} && !limit; }
};

std::string encode(const StorageRecord& record);
Result<StorageRecord> decode_storage_record(std::string_view text);

// In the container's directory. A record of the default is not written.
Result<void> write_storage_record(int store, const std::string& container,
                                  const StorageRecord& record);
// The default when there is none.
Result<StorageRecord> read_storage_record(int store, const std::string& container);

}  // namespace bulkhead::engine
