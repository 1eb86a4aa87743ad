#include "storage/image_names.h"

#include <stdio.h>

#include <algorithm>

#include "base/text.h"
#include "storage/layout.h"
#include "storage/record.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/random.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kTarget = "../../images/";
constexpr std::string_view kUnfinished = ".new-";
constexpr char kSlash = '+';  // in no name of a registry or repository

Result<std::string> unfinished_name() {
  TRY_ASSIGN(const std::string name, random_name());
  return std::string(kUnfinished) + name;
}

std::string repository_file(const Reference& reference) {
  std::string name = reference.name();
  std::ranges::replace(name, '/', kSlash);
  return name;
}

std::string version_file(const Reference& reference) {
  return reference.digest.empty() ? ":" + reference.tag : "@" + reference.digest;
}

// Nothing for what set_image_name() would not have written.
std::optional<Reference> reference_of(std::string repository, std::string_view version) {
  std::ranges::replace(repository, kSlash, '/');
  auto reference = parse_reference(repository + std::string(version));
  if (!reference || reference->canonical() != repository + std::string(version))
    return std::nullopt;
  return *std::move(reference);
}

// What the link says; nothing when there is none. Empty when it is no link of ours.
Result<std::optional<std::string>> read_link(int directory, const char* path) {
  char target[kTarget.size() + 65];
  const ssize_t size = ::readlinkat(directory, path, target, sizeof target);
  if (size < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    if (errno == EINVAL) return std::string();
    return std::unexpected(Error(SysError{"readlink", errno, path}));
  }
  const std::string_view text(target, static_cast<std::size_t>(size));
  if (!text.starts_with(kTarget) || !is_hex_digest(text.substr(kTarget.size())))
    return std::string();
  return std::string(text.substr(kTarget.size()));
}

Result<void> sync(int directory) {
  if (::fsync(directory) != 0) return std::unexpected(Error(SysError{"fsync", errno, kReferences}));
  return {};
}

Result<void> make(int store, const char* path) {
  if (::mkdirat(store, path, 0700) == 0 || errno == EEXIST) return {};
  return std::unexpected(Error(SysError{"mkdir", errno, path}));
}

}  // namespace

std::string name_path(const Reference& reference) {
  return path_in(path_in(kReferences, repository_file(reference)), version_file(reference));
}

Result<void> set_image_name(int store, const Reference& reference, std::string_view manifest) {
  if (!is_hex_digest(manifest)) return fail(ErrorKind::kInternal, "a name for no manifest");
  TRY(make(store, kReferences));
  TRY_ASSIGN(const Fd all, open_at(store, kReferences, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const std::string repository = repository_file(reference);
  TRY(make(all.get(), repository.c_str()));
  TRY_ASSIGN(const Fd directory,
             open_at(all.get(), repository.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const std::string target = std::string(kTarget) + std::string(manifest);
  TRY_ASSIGN(const std::string unfinished, unfinished_name());
  const std::string version = version_file(reference);
  if (::symlinkat(target.c_str(), directory.get(), unfinished.c_str()) != 0)
    return std::unexpected(Error(SysError{"symlink", errno, version.c_str()}));
  if (::renameat(directory.get(), unfinished.c_str(), directory.get(), version.c_str()) != 0) {
    const SysError error{"rename", errno, version.c_str()};
    (void)::unlinkat(directory.get(), unfinished.c_str(), 0);
    return std::unexpected(Error(error));
  }
  TRY(sync(directory.get()));
  return sync(all.get());
}

Result<bool> remove_image_name(int store, const Reference& reference) {
  const std::string path = path_in(kReferences, repository_file(reference));
  const auto directory = open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) {
    if (directory.error().error == ENOENT) return false;
    return std::unexpected(Error(directory.error()));
  }
  const std::string version = version_file(reference);
  if (::unlinkat(directory->get(), version.c_str(), 0) != 0) {
    if (errno == ENOENT) return false;
    return std::unexpected(Error(SysError{"unlink", errno, version.c_str()}));
  }
  // What the name stood for goes only after the name is gone for good.
  TRY(sync(directory->get()));
  // The last name of its repository takes the directory with it.
  if (::unlinkat(store, path.c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY)
    return std::unexpected(Error(SysError{"rmdir", errno, path.c_str()}));
  return true;
}

Result<std::optional<std::string>> read_image_name(int store, const Reference& reference) {
  const std::string path = name_path(reference);
  TRY_ASSIGN(auto manifest, read_link(store, path.c_str()));
  if (manifest && manifest->empty())
    return fail(ErrorKind::kInvalid, "the store's " + quoted(path) + " is no name of an image",
                "bulkhead system check --repair takes it away");
  return manifest;
}

Result<std::vector<std::string>> list_repositories(int store) {
  TRY_ASSIGN(std::vector<std::string> names, list_directory(store, kReferences));
  for (std::string& name : names) std::ranges::replace(name, kSlash, '/');
  return names;
}

Result<ImageNames> list_image_names(int store) {
  ImageNames found;
  TRY_ASSIGN(const std::vector<std::string> repositories, list_directory(store, kReferences));
  for (const std::string& repository : repositories) {
    const std::string path = path_in(kReferences, repository);
    auto directory = open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory) {
      if (directory.error().error == ENOTDIR || directory.error().error == ELOOP)
        found.foreign.push_back(path);
      else if (directory.error().error != ENOENT)
        return std::unexpected(Error(directory.error()));
      continue;
    }
    TRY_ASSIGN(const std::vector<std::string> versions, list_directory(directory->get(), "."));
    for (const std::string& version : versions) {
      if (version.starts_with(kUnfinished)) continue;
      auto reference = reference_of(repository, version);
      TRY_ASSIGN(const auto manifest, read_link(directory->get(), version.c_str()));
      if (!manifest) continue;  // taken away in the meantime
      if (!reference || manifest->empty())
        found.foreign.push_back(path_in(path, version));
      else
        found.names.push_back({*std::move(reference), *manifest});
    }
  }
  std::ranges::sort(found.names, {}, [](const ImageName& name) {
    return std::make_pair(name.reference.name(), version_file(name.reference));
  });
  return found;
}

Result<void> clear_unfinished_names(int store) {
  TRY_ASSIGN(const std::vector<std::string> repositories, list_directory(store, kReferences));
  for (const std::string& repository : repositories) {
    const std::string path = path_in(kReferences, repository);
    auto directory = open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory) continue;
    TRY_ASSIGN(const std::vector<std::string> versions, list_directory(directory->get(), "."));
    for (const std::string& version : versions)
      if (version.starts_with(kUnfinished)) (void)::unlinkat(directory->get(), version.c_str(), 0);
    // Empty when it was killed between the two.
    (void)::unlinkat(store, path.c_str(), AT_REMOVEDIR);
  }
  return {};
}

}  // namespace bulkhead::storage
