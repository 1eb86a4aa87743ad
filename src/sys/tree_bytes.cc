#include <sys/stat.h>

#include <vector>

#include "sys/directory.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead {
namespace {

std::uint64_t bytes_of(const struct stat& status) {
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

// What has just been moved or removed is not counted.
bool is_gone(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

}  // namespace

Result<std::uint64_t> tree_bytes_at(int directory, const char* name) {
  std::uint64_t total = 0;
  auto opened = open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened) {
    if (is_gone(opened.error().error)) return total;
    return std::unexpected(Error(opened.error()));
  }
  Fd here = *std::move(opened);
  std::vector<std::vector<std::string>> levels;
  TRY_ASSIGN(std::vector<std::string> names, list_directory(here.get(), "."));
  levels.push_back(std::move(names));
  // Up again by "..": a directory that was moved meanwhile leads elsewhere in the tree, where this
  // counts wrongly but does nothing.
  while (!levels.empty()) {
    if (levels.back().empty()) {
      levels.pop_back();
      if (levels.empty()) break;
      TRY_ASSIGN(here, open_at(here.get(), "..", O_RDONLY | O_DIRECTORY));
      continue;
    }
    const std::string entry = std::move(levels.back().back());
    levels.back().pop_back();
    struct stat status{};
    if (::fstatat(here.get(), entry.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    total += bytes_of(status);
    if (!S_ISDIR(status.st_mode)) continue;
    auto inner = open_at(here.get(), entry.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!inner) {
      if (is_gone(inner.error().error)) continue;
      return std::unexpected(Error(inner.error()));
    }
    here = *std::move(inner);
    TRY_ASSIGN(names, list_directory(here.get(), "."));
    levels.push_back(std::move(names));
  }
  return total;
}

}  // namespace bulkhead
