#include "storage/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <ranges>

#include "base/text.h"
#include "storage/image_names.h"
#include "storage/unpacker.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kLargestRecord = 8 << 20;

Result<void> make_directories(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    const mode_t mode = at == std::string::npos ? 0700 : 0755;
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
      return std::unexpected(Error(SysError{"mkdir", errno, part.c_str()}));
    if (at == std::string::npos) return {};
  }
}

// The record in a file of the store; nothing when there is none, or when it is not whole.
Result<std::optional<ImageRecord>> read_record(int store, const char* path) {
  const auto file = open_at(store, path, O_RDONLY);
  if (!file) {
    if (file.error().error == ENOENT) return std::nullopt;
    return std::unexpected(Error(file.error()).within("reading the store"));
  }
  TRY_ASSIGN(const std::string text, read_fd(file->get(), kLargestRecord));
  auto record = decode_record(text);
  if (!record) return std::nullopt;
  return *std::move(record);
}

}  // namespace

Result<Store> Store::open(const std::string& root) {
  if (!root.starts_with('/'))
    return fail(ErrorKind::kUsage, "--root " + quoted(root) + ": not an absolute path");
  constexpr int kFlags = O_RDONLY | O_DIRECTORY;
  auto directory = open_at(AT_FDCWD, root.c_str(), kFlags);
  if (!directory && directory.error().error == ENOENT) {
    TRY_WITHIN("making the store", make_directories(root));
    directory = open_at(AT_FDCWD, root.c_str(), kFlags);
  }
  if (!directory) return std::unexpected(Error(directory.error()).within("opening the store"));
  struct stat status{};
  if (::fstat(directory->get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, root.c_str()}));
  if (status.st_uid != ::geteuid() || (status.st_mode & 022) != 0)
    return fail(
        ErrorKind::kPermission,
        "the store " + quoted(root) + " belongs to somebody else, or others may write to it",
        "whoever can change a layer owns every container: chown it to this user and chmod 0700 "
        "it, or name another directory by --root");
  return Store(*std::move(directory), root);
}

Result<std::optional<ImageRecord>> Store::find(const ImageSource& source) const {
  // A layout directory changes its images by replacing or rewriting index.json.
  struct stat status{};
  if (::stat(source.path.c_str(), &status) != 0)
    return std::unexpected(
        Error(SysError{"stat", errno, source.path.c_str()}).within("image " + quoted(source.name)));
  if (S_ISDIR(status.st_mode)) {
    const std::string index = source.path + "/index.json";
    if (::stat(index.c_str(), &status) != 0)
      return fail(ErrorKind::kNotFound,
                  "image " + quoted(source.name) + ": the directory has no index.json",
                  "it must be an OCI image layout, as `skopeo copy docker://… oci:DIR` makes it");
  }
  const std::string key = source.key();
  const std::string path = path_in(kSources, record_file_name(key));
  TRY_ASSIGN(auto record, read_record(get(), path.c_str()));
  if (!record || record->key != key || record->identity != SourceIdentity::of(status) ||
      !has_layers(*record))
    return std::nullopt;
  return record;
}

Result<std::optional<ImageRecord>> Store::find_manifest(std::string_view manifest) const {
  TRY_ASSIGN(auto record, read_record(get(), image_path(manifest).c_str()));
  // A record under another's name is as good as none.
  if (record && record->manifest_digest != manifest) return std::nullopt;
  return record;
}

Result<std::optional<ImageRecord>> Store::find_name(const Reference& reference) const {
  return read_record(get(), name_path(reference).c_str());
}

bool Store::has_layers(const ImageRecord& record) const {
  const auto has = [&](const std::string& layer) {
    return ::faccessat(get(), layer_path(layer).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  };
  return std::ranges::all_of(record.layers, has) && (record.implied.empty() || has(record.implied));
}

Result<ImageRecord> Store::get_image(const ImageSource& source, const std::string& unpacker) const {
  TRY_ASSIGN(auto known, find(source));
  if (known) return *std::move(known);
  TRY(run_unpacker({.program = unpacker,
                    .words = {path_, source.path, source.reference},
                    .context = "image " + quoted(source.name)}));
  TRY_ASSIGN(auto unpacked, find(source));
  if (unpacked) return *std::move(unpacked);
  return fail(ErrorKind::kState, "image " + quoted(source.name) + ": it changes while it is read",
              "wait until whatever writes it is done, and try again");
}

std::vector<std::string> lower_paths(const ImageRecord& record) {
  std::vector<std::string> paths;
  if (!record.implied.empty()) paths.push_back(layer_path(record.implied));
  // A layer that comes twice (an empty one, say) is hidden whole by itself, and overlayfs refuses a
  // directory that is stacked on itself.
  for (const std::string& layer : std::views::reverse(record.layers))
    if (std::string path = layer_path(layer); std::ranges::find(paths, path) == paths.end())
      paths.push_back(std::move(path));
  if (paths.empty()) paths.emplace_back(kEmptyLayer);
  return paths;
}

}  // namespace bulkhead::storage
