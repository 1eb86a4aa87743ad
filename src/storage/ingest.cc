#include "storage/ingest.h"

#include <sys/stat.h>

#include <utility>

#include "base/text.h"
#include "storage/collect.h"
#include "storage/image_names.h"
#include "storage/layout.h"
#include "storage/store_lock.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/random.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kBlob = "blob";
constexpr std::string_view kLayer = "layer";
constexpr const char* kNotes = "held";
constexpr std::size_t kMostNotes = 64 << 20;

bool exists(int store, const std::string& path) {
  return ::faccessat(store, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> require_digest(std::string_view hex) {
  if (is_hex_digest(hex)) return {};
  return fail(ErrorKind::kInternal, quoted(hex, 80) + " is no digest");
}

Result<void> make_directory(int store, const char* path, mode_t mode = 0700) {
  if (::mkdirat(store, path, mode) == 0 || errno == EEXIST) return {};
  return std::unexpected(Error(SysError{"mkdir", errno, path}));
}

Result<void> make_store_directories(int store) {
  // Each time: a store that an earlier version has made lacks some.
  for (const char* path : {kImages, kReferences, kSources, "blobs", kBlobs, kPartialBlobs, kTrees,
                           kClaims, kStaging, kTrash, "trash/spare", kLayers, kEmptyLayer})
    TRY(make_directory(store, path));
  if (::fchmodat(store, kEmptyLayer, 0755, 0) != 0)
    return std::unexpected(Error(SysError{"chmod", errno, kEmptyLayer}));
  return {};
}

Result<void> sync_directory(int store, const char* path) {
  TRY_ASSIGN(const Fd directory, open_at(store, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::fsync(directory.get()) != 0) return std::unexpected(Error(SysError{"fsync", errno, path}));
  return {};
}

std::string blob_file(std::string_view hex) { return "blob-" + std::string(hex); }
std::string layer_directory(std::string_view hex) { return "layer-" + std::string(hex); }
std::string tree_file(std::string_view hex) { return "tree-" + std::string(hex); }

// Whether a locked descriptor is still what the path leads to: its last owner may have removed it.
bool is_still(int fd, int store, const std::string& path) {
  struct stat mine{};
  struct stat there{};
  return ::fstat(fd, &mine) == 0 &&
         ::fstatat(store, path.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

// The file, made when missing, locked; nothing with kTry when somebody else has the lock.
Result<std::optional<Fd>> lock_file(int store, const std::string& path, Ingest::Patience patience) {
  for (;;) {
    TRY_ASSIGN(Fd file, open_at(store, path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    const auto locked = patience == Ingest::Patience::kWait ? lock_exclusive(file.get())
                                                            : try_lock_exclusive(file.get());
    if (!locked && locked.error().error == EWOULDBLOCK) return std::nullopt;
    if (!locked) return std::unexpected(Error(locked.error()));
    if (is_still(file.get(), store, path)) return file;
  }
}

}  // namespace

Result<Ingest> Ingest::begin(const Store& store) {
  TRY(make_store_directories(store.get()));
  TRY_ASSIGN(const std::vector<std::string> others, list_directory(store.get(), kStaging));
  if (!others.empty()) TRY(sweep_abandoned(store));
  Ingest ingest(store);
  // Under the lock, or a collection would take the directory for an abandoned one.
  TRY_ASSIGN(const Fd lock, lock_store(store.get(), StoreAccess::kUse));
  TRY_ASSIGN(const std::string name, random_name());
  const std::string path = path_in(kStaging, name);
  if (::mkdirat(store.get(), path.c_str(), 0700) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, path.c_str()}));
  ingest.path_ = path;
  TRY_ASSIGN(ingest.directory_,
             open_at(store.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(lock_exclusive(ingest.directory_.get()));
  TRY_ASSIGN(ingest.notes_, open_at(ingest.directory_.get(), kNotes,
                                    O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600));
  return ingest;
}

Ingest::Ingest(Ingest&& other) noexcept
    : store_(other.store_),
      path_(std::exchange(other.path_, {})),
      directory_(std::move(other.directory_)),
      notes_(std::move(other.notes_)),
      new_blobs_(std::move(other.new_blobs_)),
      new_layers_(std::move(other.new_layers_)),
      partial_(std::move(other.partial_)),
      claims_(std::move(other.claims_)) {}

Ingest::~Ingest() {
  if (path_.empty()) return;
  release_claims();
  (void)remove_tree_at(store_->get(), path_.c_str());
}

Result<void> Ingest::note(std::string_view kind, std::string_view hex) {
  TRY(require_digest(hex));
  std::string line(kind);
  line.append(" ").append(hex).append("\n");
  TRY(write_all(notes_.get(), line.data(), line.size()));
  return {};
}

Result<bool> Ingest::hold(std::string_view kind, std::string_view hex, const std::string& path) {
  TRY_ASSIGN(const Fd lock, lock_store(store_->get(), StoreAccess::kUse));
  TRY(note(kind, hex));
  return exists(store_->get(), path);
}

Result<bool> Ingest::hold_blob(std::string_view hex) { return hold(kBlob, hex, blob_path(hex)); }
Result<bool> Ingest::hold_layer(std::string_view diff_id) {
  return hold(kLayer, diff_id, layer_path(diff_id));
}

Result<bool> Ingest::claim_layer(std::string_view diff_id, Patience patience) {
  TRY(require_digest(diff_id));
  if (claims_.contains(diff_id)) return true;
  TRY_ASSIGN(auto claim, lock_file(store_->get(), path_in(kClaims, diff_id), patience));
  if (!claim) return false;
  claims_.emplace(diff_id, *std::move(claim));
  return true;
}

void Ingest::release_claims() {
  // While it is locked: whoever waits for it then finds it gone, and makes it anew.
  for (const auto& [diff_id, lock] : claims_)
    (void)::unlinkat(store_->get(), path_in(kClaims, diff_id).c_str(), 0);
  claims_.clear();
}

Result<Fd> Ingest::new_file(const std::string& name) {
  auto file =
      open_at(directory_.get(), name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (!file) return std::unexpected(Error(file.error()).within("the store"));
  return *std::move(file);
}

Result<void> Ingest::keep_file(const std::string& name, std::string_view hex) {
  TRY(require_digest(hex));
  if (::renameat(directory_.get(), name.c_str(), directory_.get(), blob_file(hex).c_str()) != 0)
    return std::unexpected(Error(SysError{"rename", errno, name.c_str()}));
  new_blobs_.emplace(hex);
  return {};
}

Result<Fd> Ingest::new_blob(std::string_view hex) {
  TRY(require_digest(hex));
  TRY_ASSIGN(Fd file, new_file(blob_file(hex)));
  new_blobs_.emplace(hex);
  return file;
}

Result<void> Ingest::add_blob(std::string_view hex, std::string_view content) {
  TRY_ASSIGN(const Fd file, new_blob(hex));
  TRY(write_all(file.get(), content.data(), content.size()));
  return {};
}

Result<PartialBlob> Ingest::open_partial_blob(std::string_view hex) {
  TRY(require_digest(hex));
  TRY_ASSIGN(auto file, lock_file(store_->get(), partial_blob_path(hex), Patience::kTry));
  if (!file)
    return fail(ErrorKind::kState, "another process is fetching " + std::string(hex.substr(0, 12)),
                "wait until it is done: then it need not be fetched again");
  struct stat status{};
  if (::fstat(file->get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  PartialBlob partial{Fd(::fcntl(file->get(), F_DUPFD_CLOEXEC, 0)),
                      static_cast<std::uint64_t>(status.st_size)};
  if (!partial.file) return std::unexpected(Error(SysError{"fcntl", errno}));
  partial_.insert_or_assign(std::string(hex), *std::move(file));
  return partial;
}

Result<void> Ingest::discard_partial_blob(std::string_view hex) {
  const auto found = partial_.find(hex);
  if (found == partial_.end()) return {};
  const std::string path = partial_blob_path(hex);
  const int error = ::unlinkat(store_->get(), path.c_str(), 0) == 0 ? 0 : errno;
  partial_.erase(found);
  if (error != 0) return std::unexpected(Error(SysError{"unlink", error, path.c_str()}));
  return {};
}

Result<Fd> Ingest::new_directory(const std::string& name) {
  if (::mkdirat(directory_.get(), name.c_str(), 0755) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, name.c_str()}));
  auto made = open_at(directory_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!made) return std::unexpected(Error(made.error()));
  if (::fchmod(made->get(), 0755) != 0)
    return std::unexpected(Error(SysError{"fchmod", errno, name.c_str()}));
  return *std::move(made);
}

Result<void> Ingest::keep_directory(const std::string& name, std::string_view diff_id) {
  TRY(require_digest(diff_id));
  if (::renameat(directory_.get(), name.c_str(), directory_.get(),
                 layer_directory(diff_id).c_str()) != 0)
    return std::unexpected(Error(SysError{"rename", errno, name.c_str()}));
  new_layers_.emplace(diff_id);
  return {};
}

Result<Fd> Ingest::new_layer(std::string_view diff_id) {
  TRY(require_digest(diff_id));
  TRY_ASSIGN(Fd layer, new_directory(layer_directory(diff_id)));
  new_layers_.emplace(diff_id);
  return layer;
}

Result<void> Ingest::describe_layer(std::string_view diff_id, const TreeRecord& tree) {
  TRY_ASSIGN(const Fd file, new_file(tree_file(diff_id)));
  const std::string text = encode(tree);
  TRY(write_all(file.get(), text.data(), text.size()));
  return {};
}

Result<void> Ingest::discard_layer(std::string_view diff_id) {
  if (const auto found = new_layers_.find(diff_id); found != new_layers_.end())
    new_layers_.erase(found);
  TRY(remove_tree_at(directory_.get(), layer_directory(diff_id).c_str()));
  return {};
}

Result<void> Ingest::move_into_place(const std::string& from, const std::string& to) {
  if (::renameat(directory_.get(), from.c_str(), store_->get(), to.c_str()) == 0) return {};
  // Another process has put the same there, as whole as ours.
  if (errno == EEXIST || errno == ENOTEMPTY) return {};
  return std::unexpected(Error(SysError{"rename", errno, to.c_str()}));
}

Result<void> Ingest::publish() {
  if (new_blobs_.empty() && new_layers_.empty() && partial_.empty()) return {};
  // A name outside of staging/ says that it is whole, after a loss of power too.
  if (::syncfs(directory_.get()) != 0) return std::unexpected(Error(SysError{"syncfs", errno}));
  TRY_ASSIGN(const Fd lock, lock_store(store_->get(), StoreAccess::kUse));
  for (const std::string& hex : new_blobs_) {
    TRY(note(kBlob, hex));
    TRY(move_into_place(blob_file(hex), blob_path(hex)));
  }
  for (const auto& [hex, file] : partial_) {
    TRY(note(kBlob, hex));
    const std::string from = partial_blob_path(hex);
    const std::string to = blob_path(hex);
    if (::renameat(store_->get(), from.c_str(), store_->get(), to.c_str()) != 0)
      return std::unexpected(Error(SysError{"rename", errno, to.c_str()}));
  }
  for (const std::string& diff_id : new_layers_) {
    TRY(note(kLayer, diff_id));
    if (exists(directory_.get(), tree_file(diff_id)))
      TRY(move_into_place(tree_file(diff_id), tree_path(diff_id)));
    TRY(move_into_place(layer_directory(diff_id), layer_path(diff_id)));
  }
  new_blobs_.clear();
  new_layers_.clear();
  partial_.clear();
  return {};
}

Result<void> Ingest::write_record(const std::string& path, std::string_view content) {
  for (const char* directory : {kBlobs, kTrees, kLayers})
    TRY(sync_directory(store_->get(), directory));
  {
    TRY_ASSIGN(const Fd file, new_file("record"));
    TRY(write_all(file.get(), content.data(), content.size()));
    if (::fsync(file.get()) != 0) return std::unexpected(Error(SysError{"fsync", errno}));
  }
  if (::renameat(directory_.get(), "record", store_->get(), path.c_str()) != 0)
    return std::unexpected(Error(SysError{"rename", errno, path.c_str()}));
  return sync_directory(store_->get(), path.substr(0, path.rfind('/')).c_str());
}

Result<void> Ingest::add_image(const ImageRecord& record, std::span<const Reference> names) {
  if (!record.key.empty() || record.blobs.size() != record.layers.size())
    return fail(ErrorKind::kInternal, "the image's record is one of an image by its path");
  TRY_ASSIGN(const Fd lock, lock_store(store_->get(), StoreAccess::kUse));
  TRY(write_record(image_path(record.manifest_digest), encode(record)));
  for (const Reference& name : names)
    TRY(set_image_name(store_->get(), name, record.manifest_digest));
  return {};
}

Result<void> Ingest::add_source(const ImageRecord& record) {
  if (record.key.empty()) return fail(ErrorKind::kInternal, "the image has no path");
  TRY_ASSIGN(const Fd lock, lock_store(store_->get(), StoreAccess::kUse));
  return write_record(path_in(kSources, record_file_name(record.key)), encode(record));
}

Result<HeldByIngests> read_held(int store) {
  HeldByIngests held;
  TRY_ASSIGN(const std::vector<std::string> all, list_directory(store, kStaging));
  for (const std::string& name : all) {
    const std::string path = path_in(kStaging, name);
    const auto directory = open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory) {
      // It has just ended; or it is no directory, and nobody's.
      if (directory.error().error != ENOENT) held.abandoned.push_back(path);
      continue;
    }
    if (try_lock_exclusive(directory->get())) {
      held.abandoned.push_back(path);
      continue;
    }
    auto notes = read_file_at(directory->get(), kNotes, kMostNotes);
    if (!notes && notes.error().kind() == ErrorKind::kNotFound) continue;  // about to end
    if (!notes) return std::unexpected(std::move(notes).error());
    for (std::string_view line : split(*notes, '\n')) {
      const std::string_view kind = next_field(line, ' ');
      if (!is_hex_digest(line)) continue;
      (kind == kLayer ? held.layers : held.blobs).emplace(line);
    }
  }
  return held;
}

}  // namespace bulkhead::storage
