#include "engine/containers.h"

#include <map>
#include <optional>

#include "base/text.h"
#include "engine/holdings.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "json/parse.h"
#include "runtime/record.h"
#include "runtime/remove.h"
#include "storage/store.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

std::string text_of(const json::Value& object, std::string_view key) {
  const json::Value* const value = object.find(key);
  return value == nullptr ? std::string() : std::string(value->as_string());
}

// The record that a kept container has of its end.
Result<bool> read_kept(int store, ListedContainer& container) {
  const std::string path = container_path(container.id) + "/" + kRecordFile;
  const auto text = read_file_at(store, path.c_str(), 1 << 16);
  if (!text) {
    if (text.error().kind() == ErrorKind::kNotFound) return false;
    return std::unexpected(text.error());
  }
  auto document = json::parse(*text);
  if (!document) return std::unexpected(std::move(document).error().within(path));
  const json::Value& root = document->root();
  container.name = text_of(root, "name");
  container.image = text_of(root, "image");
  container.started = text_of(root, "started");
  if (const json::Value* const code = root.find("exitCode"))
    container.exit_code = static_cast<int>(code->as_int64().value_or(0));
  container.status = ContainerStatus::kExited;
  return true;
}

// What the runtime knows of a container that has not ended.
void read_running(const std::string& state_root, ListedContainer& container) {
  const auto directory = runtime::ContainerDirectory::open(state_root, container.id);
  if (!directory) return;
  const auto record = directory->read_record();
  if (!record) return;
  const auto annotation = [&](const char* key) {
    const auto found = record->annotations.find(key);
    return found == record->annotations.end() ? std::string() : found->second;
  };
  container.name = annotation("org.bulkhead.name");
  container.image = annotation("org.bulkhead.image");
  container.started = record->created;
}

Result<void> remove_from_runtime(const std::string& state_root, const std::string& id) {
  auto directory = runtime::ContainerDirectory::open_locked(state_root, id);
  if (!directory) {
    if (directory.error().kind() == ErrorKind::kNotFound) return {};
    return std::unexpected(std::move(directory).error());
  }
  // Killed before it had written its record: then nothing but the directory has been made.
  const auto record = directory->read_record();
  if (!record) return std::move(*directory).remove();
  TRY_ASSIGN(const runtime::Observation observation, directory->observe(*record));
  TRY(runtime::remove_container(*std::move(directory), *record, observation));
  return {};
}

// Nobody stands by the container: the lock on its directory is free.
bool is_abandoned(int store, const std::string& id) {
  return hold_container(store, id).has_value();
}

}  // namespace

std::string_view name_of(ContainerStatus status) {
  switch (status) {
    case ContainerStatus::kRunning: return "running";
    case ContainerStatus::kExited: return "exited";
    case ContainerStatus::kDead: return "dead";
  }
  return "";
}

Result<std::vector<ListedContainer>> list(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const auto ids, list_containers(store.get()));
  std::vector<ListedContainer> containers;
  for (const std::string& id : ids) {
    ListedContainer container;
    container.id = id;
    container.name = id.substr(0, 12);
    TRY_ASSIGN(container.storage, read_storage_record(store.get(), container_path(id)));
    TRY_ASSIGN(const bool kept, read_kept(store.get(), container));
    if (!kept) {
      container.status =
          is_abandoned(store.get(), id) ? ContainerStatus::kDead : ContainerStatus::kRunning;
      read_running(state_root_of(options), container);
    }
    containers.push_back(std::move(container));
  }
  return containers;
}

Result<void> remove(const StoreOptions& options, std::string_view name_or_id, Force force) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const std::string id, find_container(store.get(), name_or_id));
  const std::string state_root = state_root_of(options);
  auto held = hold_container(store.get(), id);
  if (!held) {
    if (held.error().kind() != ErrorKind::kState) return std::unexpected(std::move(held).error());
    if (force == Force::kNo)
      return fail(ErrorKind::kState, "container " + quoted(name_or_id) + " is running",
                  "--force kills it first");
    // Its engine then finds it gone, and gives back the rest itself unless the container is kept.
    TRY(remove_from_runtime(state_root, id));
    TRY_ASSIGN(auto freed, wait_for_container(store.get(), id));
    if (!freed) return {};
    held = *std::move(freed);
  }
  TRY(remove_from_runtime(state_root, id));
  return give_back_all(store, id);
}

Result<std::vector<std::string>> remove_dead(const StoreOptions& options) {
  TRY_ASSIGN(const auto containers, list(options));
  std::vector<std::string> removed;
  for (const ListedContainer& container : containers) {
    if (container.status != ContainerStatus::kDead) continue;
    TRY(remove(options, container.id, Force::kNo));
    removed.push_back(container.id);
  }
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY(give_back_orphaned_ids(store));
  return removed;
}

}  // namespace bulkhead::engine
