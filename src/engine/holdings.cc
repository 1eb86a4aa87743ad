#include "engine/holdings.h"

#include <utility>

#include "base/text.h"
#include "engine/container_user.h"
#include "engine/container_volumes.h"
#include "engine/generated_name.h"
#include "engine/registry.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

static_assert(kContainerIds == isolation::kIdsPerContainer);

// The pool is the whole host's, so an owner is a container of a store.
std::string store_mark(const std::string& store_path) {
  return "-" + storage::record_file_name(store_path);
}

// Files in a volume that is not idmapped belong to the container's range on the host itself.
Result<void> release_ids(const std::string& owner, const std::vector<std::string>& places) {
  std::vector<Fd> directories;
  std::vector<int> numbers;
  for (const std::string& place : places) {
    auto directory = open_at(AT_FDCWD, place.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    if (!directory) continue;  // a single file cannot change its owner
    numbers.push_back(directory->get());
    directories.push_back(*std::move(directory));
  }
  TRY_ASSIGN(isolation::IdPool pool, open_id_pool());
  return pool.release(owner, numbers);
}

}  // namespace

std::vector<std::string> places_of_ids(const std::vector<Volume>& volumes) {
  std::vector<std::string> places;
  for (const Volume& volume : volumes)
    if (!volume.id_mapped && !volume.read_only) places.push_back(volume.source);
  return places;
}

Result<isolation::IdPool> open_id_pool() {
  TRY_ASSIGN(const isolation::IdRange range, isolation::configured_id_pool());
  return isolation::IdPool::open(kIdPoolDirectory, range);
}

Result<Holdings> Holdings::take(const storage::Store& store, const std::string& id,
                                const std::string& name, storage::Snapshot snapshot,
                                const IdWish& ids) {
  Holdings holdings;
  snapshot.container = container_path(id);
  TRY(storage::make_container_directory(store.get(), snapshot.container));
  // From here on the destructor undoes.
  holdings.store_ = store.get();
  holdings.id_ = id;
  holdings.owner_ = id + store_mark(store.path());
  holdings.snapshot_ = std::move(snapshot);
  TRY_ASSIGN(holdings.lock_, hold_container(store.get(), id));
  TRY_WITHIN("ids for the container", holdings.take_ids(ids));
  TRY(write_storage_record(store.get(), holdings.snapshot_.container, holdings.storage_record()));
  TRY(storage::make_upper(holdings.snapshot_, holdings.first_uid(), holdings.first_gid()));
  if (!name.empty()) {
    TRY(take_name(store.get(), name, id));
    holdings.name_ = name;
  }
  return holdings;
}

StorageRecord Holdings::storage_record() const {
  return {snapshot_.form, snapshot_.limit, first_uid()};
}

Result<void> Holdings::take_ids(const IdWish& ids) {
  if (ids.none) return {};
  TRY_ASSIGN(isolation::IdPool pool, open_id_pool());
  if (ids.shared_first) {
    range_ = {ids.shared_first->value(), kContainerIds};
    return pool.share(range_, owner_);
  }
  TRY_ASSIGN(range_, pool.allocate(owner_));
  return {};
}

Holdings::Holdings(Holdings&& other) noexcept
    : store_(std::exchange(other.store_, -1)),
      owner_(std::move(other.owner_)),
      id_(std::move(other.id_)),
      name_(std::move(other.name_)),
      lock_(std::move(other.lock_)),
      range_(other.range_),
      snapshot_(std::move(other.snapshot_)) {}

Holdings::~Holdings() {
  if (store_ >= 0) (void)std::move(*this).give_back({});
}

Result<void> Holdings::be_named() {
  // Names are many, but not so many that two never meet.
  constexpr int kAttempts = 16;
  for (int attempt = 0; name_.empty(); ++attempt) {
    TRY_ASSIGN(std::string name, generated_name(attempt));
    auto taken = take_name(store_, name, id_);
    if (taken)
      name_ = std::move(name);
    else if (taken.error().kind() != ErrorKind::kExists || attempt == kAttempts)
      return taken;
  }
  return {};
}

Result<void> Holdings::write(const ContainerRecord& record, std::string_view config,
                             const LifeRecord& life) const {
  TRY(write_container_file(lock_.get(), kConfigFile, config));
  TRY(write_life_record(lock_.get(), life));
  // Last: a container without it is one that was never wholly made.
  return write_container_file(lock_.get(), kRecordFile, encode(record));
}

Result<void> Holdings::give_back(const std::vector<std::string>& places) && {
  const int store = std::exchange(store_, -1);
  // The name first: a name whose container is gone counts as left over.
  auto named = name_.empty() ? Result<void>() : release_name(store, name_, id_);
  if (snapshot_.limit) TRY(storage::lift_limit(store, *snapshot_.limit, first_uid()));
  snapshot_.space.reset();
  TRY(remove_anonymous_volumes(store, id_));
  auto removed = storage::remove_container_directory(store, container_path(id_));
  if (!removed)
    return std::unexpected(std::move(removed).error().within("removing what the container wrote"));
  TRY(release_ids(owner_, places));
  return named;
}

Result<void> give_back_all(const storage::Store& store, const std::string& id, OwnVolumes volumes) {
  TRY_ASSIGN(const auto names, list_names(store.get()));
  for (const auto& [name, owner] : names)
    if (owner == id) TRY(release_name(store.get(), name, id));
  TRY_ASSIGN(const StorageRecord record, read_storage_record(store.get(), container_path(id)));
  if (record.limit) TRY(storage::lift_limit(store.get(), *record.limit, record.first_uid));
  if (volumes == OwnVolumes::kRemove) TRY(remove_anonymous_volumes(store.get(), id));
  TRY(storage::remove_container_directory(store.get(), container_path(id)));
  return release_ids(id + store_mark(store.path()), {});
}

Result<void> give_back_recorded(const storage::Store& store, const ContainerRecord& record,
                                OwnVolumes volumes) {
  auto named = release_name(store.get(), record.name, record.id);
  TRY_ASSIGN(const StorageRecord kept, read_storage_record(store.get(), container_path(record.id)));
  if (kept.limit) TRY(storage::lift_limit(store.get(), *kept.limit, kept.first_uid));
  if (volumes == OwnVolumes::kRemove) TRY(remove_anonymous_volumes(store.get(), record.id));
  TRY(storage::remove_container_directory(store.get(), container_path(record.id)));
  TRY(release_ids(record.id + store_mark(store.path()), record.id_places));
  return named;
}

Result<void> give_back_orphaned_ids(const storage::Store& store) {
  const std::string mark = store_mark(store.path());
  TRY_ASSIGN(isolation::IdPool pool, open_id_pool());
  TRY_ASSIGN(const auto allocations, pool.list());
  for (const isolation::IdAllocation& allocation : allocations) {
    if (!allocation.owner.ends_with(mark)) continue;
    const std::string id = allocation.owner.substr(0, allocation.owner.size() - mark.size());
    // The directory is made before the range is taken, and removed before it is given back.
    if (::faccessat(store.get(), container_path(id).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
      continue;
    TRY(pool.release(allocation.owner, {}));
  }
  return {};
}

}  // namespace bulkhead::engine
