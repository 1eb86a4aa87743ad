#include "volumes/fill.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "sys/directory.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/random.h"
#include "sys/tree.h"
#include "volumes/copy_tree.h"

namespace bulkhead::volumes {
namespace {

constexpr const char* kFilled = ".filled";

struct Unfinished {
  std::string name;
  Fd directory;
};

Result<Unfinished> begin(int parent) {
  TRY_ASSIGN(const std::string random, random_name());
  Unfinished made{std::string(kFillingPrefix) + random, {}};
  if (::mkdirat(parent, made.name.c_str(), 0700) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, "filling the volume"}));
  TRY_ASSIGN(made.directory,
             open_at(parent, made.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return made;
}

// Entries that are there already, of whatever origin, stay: a container may have the volume mounted.
Result<void> move_entries(int root, int data) {
  TRY_ASSIGN(const Fd filled, open_at(root, kFilled, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(copy_metadata(filled.get(), data));
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(filled.get(), "."));
  for (const std::string& name : names)
    if (::renameat2(filled.get(), name.c_str(), data, name.c_str(), RENAME_NOREPLACE) != 0 &&
        errno != EEXIST)
      return std::unexpected(Error(SysError{"rename", errno, "filling the volume"}));
  // Moving changes the time of the directory.
  TRY(copy_metadata(filled.get(), data));
  TRY(remove_tree_at(root, kFilled));
  return {};
}

}  // namespace

Result<bool> is_empty(int data) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(data, "."));
  return names.empty();
}

Result<void> with_scratch(int volume, const std::function<Result<void>(int directory)>& work) {
  TRY_ASSIGN(const Unfinished made, begin(volume));
  auto done = work(made.directory.get());
  const auto removed = remove_tree_at(volume, made.name.c_str());
  if (done && !removed) return std::unexpected(Error(removed.error()));
  return done;
}

Result<void> fill(int root, int data, const std::function<Result<void>(int directory)>& write) {
  TRY_ASSIGN(const Unfinished made, begin(root));
  auto written = write(made.directory.get());
  // What a name says is whole must be so after a loss of power, too.
  if (written && ::syncfs(made.directory.get()) != 0)
    written = std::unexpected(Error(SysError{"syncfs", errno}));
  if (written && ::renameat2(root, made.name.c_str(), root, kFilled, RENAME_NOREPLACE) != 0)
    written = std::unexpected(Error(SysError{"rename", errno, "filling the volume"}));
  if (!written) {
    [[maybe_unused]] const auto removed = remove_tree_at(root, made.name.c_str());
    return written;
  }
  return move_entries(root, data);
}

Result<bool> is_filling(int root) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(root, "."));
  return std::ranges::any_of(names, [](const std::string& name) {
    return name == kFilled || name.starts_with(kFillingPrefix);
  });
}

Result<void> finish_filling(int root, int data) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(root, "."));
  for (const std::string& name : names) {
    if (name == kFilled) TRY(move_entries(root, data));
    if (name.starts_with(kFillingPrefix)) TRY(remove_tree_at(root, name.c_str()));
  }
  return {};
}

}  // namespace bulkhead::volumes
