#include "storage/unpack/implied_directories.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <map>
#include <optional>
#include <ranges>
#include <set>

#include "base/text.h"
#include "storage/layout.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/examine_tree.h"
#include "storage/unpack/layer_tree.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr std::size_t kMostAttributes = 64 << 10;
constexpr std::size_t kMostPaths = 200'000;  // of all layers of an image

Result<std::optional<std::string>> attribute(int fd, const char* name) {
  std::string value(kMostAttributes, '\0');
  const ssize_t size = ::fgetxattr(fd, name, value.data(), value.size());
  if (size < 0 && (errno == ENODATA || errno == EOPNOTSUPP)) return std::nullopt;
  if (size < 0) return std::unexpected(Error(SysError{"fgetxattr", errno, name}));
  value.resize(static_cast<std::size_t>(size));
  return value;
}

// As layer_acts.h marks it.
Result<bool> is_opaque(int fd) {
  for (const char* const name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    TRY_ASSIGN(const auto value, attribute(fd, name));
    if (value == "y") return true;
  }
  return false;
}

Result<Metadata> metadata_of(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  Metadata metadata;
  metadata.uid = status.st_uid;
  metadata.gid = status.st_gid;
  metadata.mode = status.st_mode & 07777;
  metadata.modified = status.st_mtim;
  std::string list(kMostAttributes, '\0');
  const ssize_t size = ::flistxattr(fd, list.data(), list.size());
  if (size < 0 && errno != EOPNOTSUPP) return std::unexpected(Error(SysError{"flistxattr", errno}));
  list.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  for (std::string_view rest = list; !rest.empty();) {
    std::string name(next_field(rest, '\0'));
    if (!is_attribute_kept(name)) continue;
    TRY_ASSIGN(auto value, attribute(fd, name.c_str()));
    if (value) metadata.attributes.emplace_back(std::move(name), *std::move(value));
  }
  std::ranges::sort(metadata.attributes);
  return metadata;
}

// The top directory's time is the snapshot's own whatever a layer says.
bool same(const Metadata& one, const Metadata& other, std::string_view path) {
  const bool same_time = one.modified.tv_sec == other.modified.tv_sec &&
                         one.modified.tv_nsec == other.modified.tv_nsec;
  return one.uid == other.uid && one.gid == other.gid && one.mode == other.mode &&
         (same_time || path.empty()) && one.attributes == other.attributes;
}

// What one layer has at a path.
struct Sight {
  Fd directory;       // empty: no directory
  bool ends = false;  // and whatever lies below is hidden
};

class Stack {
 public:
  // The topmost first, each once.
  static Result<Stack> open(const Store& store, const std::vector<std::string>& layers) {
    Stack stack;
    std::set<std::string_view> seen;
    for (const std::string& layer : std::views::reverse(layers)) {
      if (!seen.insert(layer).second) continue;
      const std::string path = layer_path(layer);
      TRY_ASSIGN(Fd directory, open_at(store.get(), path.c_str(), kDirectoryFlags));
      Layer each{std::move(directory), {}};
      TRY_ASSIGN(auto tree, read_tree_record(store.get(), layer));
      if (tree) each.implied.insert(tree->implied.begin(), tree->implied.end());
      stack.layers_.push_back(std::move(each));
    }
    return stack;
  }

  Result<std::set<std::string>> implied() const {
    std::set<std::string> paths;
    for (const Layer& layer : layers_) paths.insert(layer.implied.begin(), layer.implied.end());
    if (paths.size() > kMostPaths)
      return fail(ErrorKind::kInvalid,
                  "the image's layers have no entries for too many of the directories that they "
                  "write in");
    return paths;
  }

  // As the overlay shows it, and as the highest layer has it that has an entry for it. Nothing where
  // the overlay has no such directory.
  struct Views {
    Metadata visible;
    Metadata meant;
  };
  Result<std::optional<Views>> look(const std::string& path) const {
    std::optional<Views> views;
    for (const Layer& layer : layers_) {
      TRY_ASSIGN(const Sight sight, look_in(layer, path));
      if (sight.directory) {
        const bool has_entry = !layer.implied.contains(path);
        if (!views || has_entry) {
          TRY_ASSIGN(Metadata found, metadata_of(sight.directory.get()));
          if (!views) views = Views{found, found};
          views->meant = std::move(found);
        }
        if (has_entry) break;
      }
      if (sight.ends) break;
    }
    return views;
  }

 private:
  struct Layer {
    Fd directory;
    std::set<std::string, std::less<>> implied;
  };

  // Name by name: what is on the way may be a whiteout, or hide everything beneath itself.
  static Result<Sight> look_in(const Layer& layer, const std::string& path) {
    Sight sight;
    TRY_ASSIGN(Fd here, open_at(layer.directory.get(), ".", kDirectoryFlags));
    std::string_view rest = path;
    while (!rest.empty()) {
      const std::string name(next_field(rest, '/'));
      auto next = open_at(here.get(), name.c_str(), kDirectoryFlags);
      if (!next) {
        const int error = next.error().error;
        sight.ends |= error == ENOTDIR || error == ELOOP;
        if (sight.ends || error == ENOENT) return sight;
        return std::unexpected(Error(SysError{"openat", error}).within(quoted(path)));
      }
      here = *std::move(next);
      TRY_ASSIGN(const bool opaque, is_opaque(here.get()));
      sight.ends |= opaque;
    }
    sight.directory = std::move(here);
    return sight;
  }

  std::vector<Layer> layers_;
};

using Directories = std::map<std::string, Metadata>;

// With whatever leads to them, which the new layer would hide otherwise.
Result<Directories> find_directories(const Stack& stack) {
  Directories wanted;
  TRY_ASSIGN(const std::set<std::string> paths, stack.implied());
  for (const std::string& path : paths) {
    TRY_ASSIGN(auto views, stack.look(path));
    if (views && !same(views->visible, views->meant, path))
      wanted.emplace(path, std::move(views->meant));
  }
  std::set<std::string> ways;
  for (const auto& [path, metadata] : wanted) {
    ways.insert("");
    for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1))
      ways.insert(path.substr(0, at));
  }
  for (const std::string& way : ways) {
    if (wanted.contains(way)) continue;
    TRY_ASSIGN(auto views, stack.look(way));
    if (!views) return fail(ErrorKind::kInternal, "no directory leads to " + quoted(way));
    wanted.emplace(way, std::move(views->meant));
  }
  return wanted;
}

std::string name_of(const Directories& directories) {
  Sha256 digest;
  const auto add = [&](std::string_view text) {
    const std::string size = std::to_string(text.size()) + ":";
    digest.update(size.data(), size.size());
    digest.update(text.data(), text.size());
  };
  add("bulkhead implied directories 1");
  for (const auto& [path, metadata] : directories) {
    add(path);
    for (const std::int64_t number :
         {std::int64_t{metadata.uid}, std::int64_t{metadata.gid}, std::int64_t{metadata.mode},
          std::int64_t{metadata.modified.tv_sec}, std::int64_t{metadata.modified.tv_nsec},
          static_cast<std::int64_t>(metadata.attributes.size())})
      add(std::to_string(number));
    for (const auto& [name, value] : metadata.attributes) {
      add(name);
      add(value);
    }
  }
  return digest.hex();
}

Result<void> set(int fd, const Metadata& metadata) {
  if (::fchown(fd, metadata.uid, metadata.gid) != 0)
    return std::unexpected(Error(SysError{"fchown", errno}));
  if (::fchmod(fd, metadata.mode) != 0) return std::unexpected(Error(SysError{"fchmod", errno}));
  for (const auto& [name, value] : metadata.attributes)
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0)
      return std::unexpected(Error(SysError{"fsetxattr", errno, name.c_str()}));
  const timespec times[2] = {metadata.modified, metadata.modified};
  if (::futimens(fd, times) != 0) return std::unexpected(Error(SysError{"futimens", errno}));
  return {};
}

Result<void> make(int top, const Directories& directories) {
  constexpr std::uint64_t kPlain = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  for (const auto& [path, metadata] : directories)
    if (!path.empty() && ::mkdirat(top, path.c_str(), 0700) != 0)
      return std::unexpected(Error(SysError{"mkdir", errno}).within(quoted(path)));
  // What leads to a directory after it: its own making has changed the time.
  for (const auto& [path, metadata] : std::views::reverse(directories)) {
    TRY_ASSIGN(const Fd directory,
               open_at2(top, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY, kPlain));
    TRY_WITHIN(quoted(path), set(directory.get(), metadata));
  }
  return {};
}

}  // namespace

Result<std::string> complete_directories(Ingest& ingest, const Store& store,
                                         const std::vector<std::string>& layers) {
  TRY_ASSIGN(const Stack stack, Stack::open(store, layers));
  TRY_ASSIGN(const Directories directories, find_directories(stack));
  if (directories.empty()) return std::string();
  std::string name = name_of(directories);
  TRY_ASSIGN(const bool there, ingest.hold_layer(name));
  if (there) return name;
  TRY_ASSIGN(const Fd top, ingest.new_layer(name));
  TRY_WITHIN("making directories as the layers below have them", make(top.get(), directories));
  TRY_ASSIGN(const TreeRecord tree, examine_tree(top.get()));
  TRY(ingest.describe_layer(name, tree));
  TRY(ingest.publish());
  return name;
}

}  // namespace bulkhead::storage
