#include "engine/image_choice.h"

#include <optional>

#include "base/text.h"
#include "storage/images.h"
#include "storage/registry_program.h"
#include "storage/store_lock.h"
#include "storage/unpacker.h"

namespace bulkhead::engine {
namespace {

using storage::ImageRecord;
using storage::ImageSource;
using storage::Store;
using storage::StoreAccess;

Result<ChosenImage> choose_source(const Store& store, const ImageSource& source) {
  TRY_ASSIGN(Fd lock, storage::lock_store(store.get(), StoreAccess::kUse));
  TRY_ASSIGN(auto record, store.find(source));
  if (record) return ChosenImage{*std::move(record), std::move(lock)};
  // Unpacking takes its time, and somebody may be waiting for the lock.
  lock.reset();
  TRY(store.get_image(source));
  TRY_ASSIGN(lock, storage::lock_store(store.get(), StoreAccess::kUse));
  TRY_ASSIGN(record, store.find(source));
  if (record) return ChosenImage{*std::move(record), std::move(lock)};
  return fail(ErrorKind::kState, "image " + quoted(source.name) + " has just been removed",
              "try again");
}

// Layers that were lost, and blobs that they can be made from again.
Result<ChosenImage> restore_layers(const Store& store, const std::string& name,
                                   const std::string& manifest) {
  TRY(storage::run_unpacker(
      {.words = {"--layers", store.path(), manifest}, .context = "image " + quoted(name)}));
  TRY_ASSIGN(Fd lock, storage::lock_store(store.get(), StoreAccess::kUse));
  TRY_ASSIGN(auto record, store.find_manifest(manifest));
  if (record && store.has_layers(*record)) return ChosenImage{*std::move(record), std::move(lock)};
  return fail(ErrorKind::kState, "image " + quoted(name) + " has just been removed", "try again");
}

Result<ChosenImage> choose_local(const Store& store, const std::string& name) {
  if (storage::is_image_path(name)) {
    TRY_ASSIGN(const ImageSource source, storage::find_image(name, {}));
    return choose_source(store, source);
  }
  std::optional<ImageRecord> record;
  TRY_ASSIGN(Fd lock, storage::lock_store(store.get(), StoreAccess::kUse));
  if (const auto reference = storage::parse_reference(name)) {
    TRY_ASSIGN(record, store.find_name(*reference));
  }
  if (!record) {
    const auto builtin = storage::find_image(name, storage::builtin_image_directories());
    if (builtin) {
      lock.reset();
      return choose_source(store, *builtin);
    }
    auto found = storage::find_image_here(store, name);
    if (!found) {
      if (found.error().kind() == ErrorKind::kNotFound) return std::unexpected(builtin.error());
      return std::unexpected(std::move(found).error());
    }
    record = std::move(found->record);
  }
  if (store.has_layers(*record)) return ChosenImage{*std::move(record), std::move(lock)};
  lock.reset();
  return restore_layers(store, name, record->manifest_digest);
}

Result<ChosenImage> choose_pulled(const Store& store, const std::string& journal,
                                  const std::string& name, storage::PullWhen when) {
  TRY_ASSIGN(const std::string canonical, storage::pull_for_run(store.path(), journal, name, when));
  return choose_local(store, canonical);
}

}  // namespace

Result<Pull> pull_policy(const std::string& text) {
  if (text == "missing") return Pull::kMissing;
  if (text == "always") return Pull::kAlways;
  if (text == "never") return Pull::kNever;
  return fail(ErrorKind::kUsage,
              "--pull " + quoted(text) + ": always, missing or never is expected");
}

Result<ChosenImage> choose_image(const Store& store, const std::string& journal,
                                 const std::string& name, Pull pull) {
  // What cannot be a name in a registry: a path, an id.
  const bool can_be_pulled = !storage::is_image_path(name) && storage::parse_reference(name);
  if (pull == Pull::kAlways && can_be_pulled)
    return choose_pulled(store, journal, name, storage::PullWhen::kAlways);
  auto local = choose_local(store, name);
  if (local || pull != Pull::kMissing || !can_be_pulled ||
      local.error().kind() != ErrorKind::kNotFound)
    return local;
  return choose_pulled(store, journal, name, storage::PullWhen::kMissing);
}

Result<void> take_builtin_image(const Store& store, std::string_view name) {
  if (storage::is_image_path(name)) return {};
  const auto here = storage::find_image_here(store, name);
  if (here || here.error().kind() != ErrorKind::kNotFound) return {};
  const auto builtin = storage::find_image(name, storage::builtin_image_directories());
  if (!builtin) return {};
  TRY(storage::run_unpacker({.words = {"--load", store.path(), builtin->path},
                             .context = "image " + quoted(std::string(name))}));
  return {};
}

}  // namespace bulkhead::engine
