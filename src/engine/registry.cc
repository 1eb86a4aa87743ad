#include "engine/registry.h"

#include <dirent.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "engine/values.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kIdLength = 64;

bool is_id_prefix(std::string_view text) {
  return !text.empty() && text.size() <= kIdLength && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

std::string name_path(std::string_view name) { return "names/" + std::string(name); }

// The id that a name stands for; nothing when there is no such name.
Result<std::optional<std::string>> read_name(int store, std::string_view name) {
  char id[kIdLength + 1];
  const std::string path = name_path(name);
  const ssize_t size = ::readlinkat(store, path.c_str(), id, sizeof id);
  if (size < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return std::unexpected(Error(SysError{"readlink", errno, path.c_str()}));
  }
  const std::string_view text(id, static_cast<std::size_t>(size));
  if (text.size() != kIdLength || !is_id_prefix(text))
    return fail(ErrorKind::kInvalid,
                "the store's " + quoted(path) + " is not a name of this program's");
  return std::string(text);
}

bool has_directory(int store, std::string_view id) {
  return ::faccessat(store, container_path(id).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> make_name(int store, std::string_view id, const std::string& path) {
  const std::string target(id);
  if (::symlinkat(target.c_str(), store, path.c_str()) == 0) return {};
  if (errno == ENOENT && (::mkdirat(store, "names", 0700) == 0 || errno == EEXIST) &&
      ::symlinkat(target.c_str(), store, path.c_str()) == 0)
    return {};
  return std::unexpected(Error(SysError{"symlink", errno, path.c_str()}));
}

template <class Visit>
Result<void> for_each_entry(int store, const char* path, Visit visit) {
  auto directory = open_at(store, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory && directory.error().error == ENOENT) return {};
  if (!directory) return std::unexpected(Error(directory.error()));
  DIR* const stream = ::fdopendir(directory->get());
  if (stream == nullptr) return std::unexpected(Error(SysError{"fdopendir", errno, path}));
  (void)directory->release();
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, ::closedir);
  while (const struct dirent* const entry = ::readdir(stream))
    if (entry->d_name[0] != '.') visit(std::string_view(entry->d_name));
  return {};
}

}  // namespace

Result<std::string> new_id() {
  unsigned char bytes[kIdLength / 2];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
    return std::unexpected(Error(SysError{"getrandom", errno}));
  std::string id;
  for (const unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

std::string container_path(std::string_view id) { return "containers/" + std::string(id); }

Result<Fd> open_container(int store, std::string_view id) {
  const std::string path = container_path(id);
  TRY_ASSIGN(Fd directory, open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return directory;
}

Result<Fd> hold_container(int store, std::string_view id) {
  const std::string path = container_path(id);
  TRY_ASSIGN(Fd directory, open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (const auto locked = try_lock_exclusive(directory.get()); !locked) {
    if (locked.error().error != EWOULDBLOCK) return std::unexpected(Error(locked.error()));
    return fail(ErrorKind::kState, "container " + quoted(id.substr(0, 12)) + " is in use");
  }
  return directory;
}

Result<std::optional<Fd>> wait_for_container(int store, std::string_view id) {
  const std::string path = container_path(id);
  auto directory = open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory && directory.error().error == ENOENT) return std::nullopt;
  if (!directory) return std::unexpected(Error(directory.error()));
  TRY(lock_exclusive(directory->get()));
  struct stat status{};
  if (::fstat(directory->get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  if (status.st_nlink == 0) return std::nullopt;
  return *std::move(directory);
}

Result<void> take_name(int store, std::string_view name, std::string_view id) {
  const std::string path = name_path(name);
  auto made = make_name(store, id, path);
  if (made || made.error().kind() != ErrorKind::kExists) return made;
  // The name is taken. A name without a container is left over from an engine that was killed; only
  // one may clear it away at a time, or the second would clear the first one's new name.
  TRY_ASSIGN(const Fd names, open_at(store, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(lock_exclusive(names.get()));
  TRY_ASSIGN(const auto owner, read_name(store, name));
  if (owner && has_directory(store, *owner))
    return fail(
        ErrorKind::kExists,
        "the name " + quoted(name) + " is taken by the container " + owner->substr(0, 12),
        "remove that container (bulkhead rm " + std::string(name) + "), or choose another name");
  if (owner && ::unlinkat(store, path.c_str(), 0) != 0 && errno != ENOENT)
    return std::unexpected(Error(SysError{"unlink", errno, path.c_str()}));
  made = make_name(store, id, path);
  if (!made && made.error().kind() == ErrorKind::kExists)
    return fail(ErrorKind::kExists, "the name " + quoted(name) + " has just been taken");
  return made;
}

Result<void> release_name(int store, std::string_view name, std::string_view id) {
  TRY_ASSIGN(const auto owner, read_name(store, name));
  const std::string path = name_path(name);
  if (owner && *owner == id && ::unlinkat(store, path.c_str(), 0) != 0 && errno != ENOENT)
    return std::unexpected(Error(SysError{"unlink", errno, path.c_str()}));
  return {};
}

Result<std::string> find_container(int store, std::string_view name_or_id) {
  if (is_container_name(name_or_id)) {
    TRY_ASSIGN(auto id, read_name(store, name_or_id));
    if (id) return *std::move(id);
  }
  std::vector<std::string> matching;
  if (is_id_prefix(name_or_id)) {
    TRY_ASSIGN(const auto all, list_containers(store));
    for (const std::string& id : all)
      if (id.starts_with(name_or_id)) matching.push_back(id);
  }
  if (matching.size() > 1)
    return fail(ErrorKind::kInvalid, "several containers begin with " + quoted(name_or_id));
  if (matching.empty())
    return fail(ErrorKind::kNotFound, "there is no container " + quoted(name_or_id));
  return matching.front();
}

Result<std::vector<std::string>> list_containers(int store) {
  std::vector<std::string> ids;
  TRY(for_each_entry(store, "containers", [&](std::string_view name) {
    if (name.size() == kIdLength && is_id_prefix(name)) ids.emplace_back(name);
  }));
  std::ranges::sort(ids);
  return ids;
}

Result<std::vector<std::pair<std::string, std::string>>> list_names(int store) {
  std::vector<std::string> all;
  TRY(for_each_entry(store, "names", [&](std::string_view name) { all.emplace_back(name); }));
  std::vector<std::pair<std::string, std::string>> names;
  for (std::string& name : all) {
    TRY_ASSIGN(auto id, read_name(store, name));
    if (id) names.emplace_back(std::move(name), *std::move(id));
  }
  return names;
}

}  // namespace bulkhead::engine
