// What a container has of the host beside its processes: its directory in the store, its name and its
// range of ids. Taken before the launch; given back when the container goes, whatever way that is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "engine/container_record.h"
#include "engine/storage_record.h"
#include "engine/wish.h"
#include "isolation/user/id_pool.h"
#include "storage/snapshot.h"
#include "storage/store.h"

namespace bulkhead::engine {

// Where ranges of ids are remembered: one place for the whole host, whatever the store, so that no
// two containers of different stores get the same ids.
inline constexpr const char* kIdPoolDirectory = "/var/lib/bulkhead/id-pool";

// Which ids of the host a container is given.
struct IdWish {
  bool none = false;  // the host's own: --userns host
  // Those of another container, with which it shares them.
  std::optional<HostUid> shared_first;
};

class Holdings {
 public:
  // In this order: the directory, the lock on it, a range of ids, the record of the storage, upper/
  // and work/ with their limit, and the name (empty: none). So whatever a killed engine leaves is
  // found by its directory.
  static Result<Holdings> take(const storage::Store& store, const std::string& id,
                               const std::string& name, storage::Snapshot snapshot,
                               const IdWish& ids = {});
  // Takes a generated name, when it has none.
  Result<void> be_named();
  Holdings(Holdings&& other) noexcept;
  Holdings& operator=(Holdings&&) = delete;
  // Gives everything back; what that fails at is lost to `bulkhead rm`.
  ~Holdings();

  HostUid first_uid() const { return HostUid(range_.first); }
  HostGid first_gid() const { return HostGid(range_.first); }
  const storage::Snapshot& snapshot() const { return snapshot_; }

  const std::string& name() const { return name_; }
  // The container's directory, which carries the lock.
  const Fd& directory() const { return lock_; }

  // Writes down what the container is.
  Result<void> write(const ContainerRecord& record, std::string_view config,
                     const LifeRecord& life) const;
  // The container stays in the store; the lock goes with this object.
  void stay() noexcept { store_ = -1; }
  // The container goes, and its anonymous volumes with it. The ids are free again only if no file of
  // theirs is left in `places`.
  Result<void> give_back(const std::vector<std::string>& places) &&;

 private:
  Holdings() = default;
  Result<void> take_ids(const IdWish& ids);
  StorageRecord storage_record() const;
  int store_ = -1;     // the store outlives us; -1: nothing is held
  std::string owner_;  // of the ids
  std::string id_;
  std::string name_;
  Fd lock_;
  isolation::IdRange range_;
  storage::Snapshot snapshot_;
};

// What becomes of a container's anonymous volumes.
enum class OwnVolumes { kKeep, kRemove };

// The same for a container whose engine is gone: names, directory and ids.
Result<void> give_back_all(const storage::Store& store, const std::string& id, OwnVolumes volumes);
// The same where the record is known.
Result<void> give_back_recorded(const storage::Store& store, const ContainerRecord& record,
                                OwnVolumes volumes);

// Directories of the host in which a container may leave files that belong to its own range of ids.
std::vector<std::string> places_of_ids(const std::vector<Volume>& volumes);

// Ranges of this store's containers whose directory is gone: their removal was killed at its end.
Result<void> give_back_orphaned_ids(const storage::Store& store);

Result<isolation::IdPool> open_id_pool();

}  // namespace bulkhead::engine
