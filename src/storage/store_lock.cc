#include "storage/store_lock.h"

#include "storage/layout.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace bulkhead::storage {

Result<Fd> lock_store(int store, StoreAccess access) {
  TRY_ASSIGN(Fd lock, open_at(store, kLockFile, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600));
  const auto locked =
      access == StoreAccess::kUse ? lock_shared(lock.get()) : lock_exclusive(lock.get());
  if (!locked) return std::unexpected(Error(locked.error()).within("locking the store"));
  return lock;
}

Result<std::optional<Fd>> try_lock_store(int store) {
  TRY_ASSIGN(Fd lock, open_at(store, kLockFile, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600));
  const auto locked = try_lock_exclusive(lock.get());
  if (locked) return lock;
  if (locked.error().error == EWOULDBLOCK) return std::nullopt;
  return std::unexpected(Error(locked.error()).within("locking the store"));
}

}  // namespace bulkhead::storage
