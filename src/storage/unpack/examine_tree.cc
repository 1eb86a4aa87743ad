#include "storage/unpack/examine_tree.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "storage/unpack/digest.h"
#include "sys/directory.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostAttributes = 64 << 10;
constexpr std::size_t kMostTarget = 4096;

class Examination {
 public:
  explicit Examination(TreeContents contents) : contents_(contents) {}

  Result<TreeRecord> run(int top) {
    TRY_ASSIGN(Fd here, open_at(top, ".", O_RDONLY | O_DIRECTORY));
    TRY(enter(here, "."));
    // Deep trees need neither a deep stack nor many descriptors: up again goes by "..", which nobody
    // moves meanwhile.
    while (!levels_.empty()) {
      std::vector<std::string>& names = levels_.back();
      if (names.empty()) {
        levels_.pop_back();
        add("up");
        if (levels_.empty()) break;
        TRY(change_to(here, ".."));
        continue;
      }
      const std::string name = std::move(names.back());
      names.pop_back();
      TRY(entry(here, name));
    }
    record_.digest = digest_.hex();
    return record_;
  }

 private:
  void add(std::string_view text) {
    const std::string size = std::to_string(text.size()) + ":";
    digest_.update(size.data(), size.size());
    digest_.update(text.data(), text.size());
  }
  void add(std::uint64_t number) { add(std::to_string(number)); }

  Result<void> change_to(Fd& here, const char* name) {
    TRY_ASSIGN(here, open_at(here.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return {};
  }

  Result<void> enter(Fd& here, const std::string& name) {
    TRY(change_to(here, name.c_str()));
    TRY_ASSIGN(std::vector<std::string> names, list_directory(here.get(), "."));
    std::ranges::sort(names, std::greater<>());
    levels_.push_back(std::move(names));
    if (levels_.size() > 1) return {};
    struct stat status{};
    if (::fstat(here.get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
    // When the layer itself was moved into its place its time may have changed.
    status.st_mtim = {};
    return metadata(here, ".", status);
  }

  Result<void> metadata(const Fd& here, const std::string& name, const struct stat& status) {
    ++record_.entries;
    add(name);
    add(status.st_mode);
    add(status.st_uid);
    add(status.st_gid);
    add(static_cast<std::uint64_t>(status.st_mtim.tv_sec));
    add(static_cast<std::uint64_t>(status.st_mtim.tv_nsec));
    if (S_ISREG(status.st_mode)) add(static_cast<std::uint64_t>(status.st_size));
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) add(status.st_rdev);
    return attributes(here, name);
  }

  // By name, because not everything can be opened; there is no listxattrat(2) before Linux 6.13.
  Result<void> attributes(const Fd& here, const std::string& name) {
    char list[kMostAttributes];
    const std::string path = "/proc/self/fd/" + std::to_string(here.get()) + "/" + name;
    const ssize_t size = ::llistxattr(path.c_str(), list, sizeof list);
    if (size < 0 && errno != EOPNOTSUPP)
      return std::unexpected(Error(SysError{"llistxattr", errno, name.c_str()}));
    std::vector<std::string_view> names;
    if (size > 0) names = split({list, static_cast<std::size_t>(size) - 1}, '\0');
    // The host's own label is not the layer's.
    std::erase_if(names, [](std::string_view each) { return each == "security.selinux"; });
    std::ranges::sort(names);
    add(names.size());
    if (names.empty()) return {};
    std::string value(kMostAttributes, '\0');
    for (const std::string_view each : names) {
      const ssize_t length =
          ::lgetxattr(path.c_str(), std::string(each).c_str(), value.data(), value.size());
      if (length < 0) return std::unexpected(Error(SysError{"lgetxattr", errno, name.c_str()}));
      add(each);
      add(std::string_view(value).substr(0, static_cast<std::size_t>(length)));
    }
    return {};
  }

  Result<void> content(const Fd& here, const std::string& name) {
    TRY_ASSIGN(const Fd file, open_at(here.get(), name.c_str(), O_RDONLY | O_NOFOLLOW));
    buffer_.resize(std::size_t{256} << 10);
    for (;;) {
      TRY_ASSIGN(const std::size_t count, read_up_to(file.get(), buffer_.data(), buffer_.size()));
      digest_.update(buffer_.data(), count);
      if (count < buffer_.size()) return {};
    }
  }

  Result<void> entry(Fd& here, const std::string& name) {
    struct stat status{};
    if (::fstatat(here.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return std::unexpected(Error(SysError{"stat", errno, name.c_str()}));
    TRY(metadata(here, name, status));
    if (S_ISDIR(status.st_mode)) return enter(here, name);
    if (S_ISLNK(status.st_mode)) {
      char target[kMostTarget];
      const ssize_t size = ::readlinkat(here.get(), name.c_str(), target, sizeof target);
      if (size < 0) return std::unexpected(Error(SysError{"readlink", errno, name.c_str()}));
      add(std::string_view(target, static_cast<std::size_t>(size)));
    }
    if (status.st_nlink > 1) {
      const auto [first, is_first] = linked_.try_emplace(status.st_ino, record_.entries);
      add(first->second);
      if (!is_first) return {};
    }
    if (!S_ISREG(status.st_mode)) return {};
    record_.bytes += static_cast<std::uint64_t>(status.st_size);
    return contents_ == TreeContents::kIncluded ? content(here, name) : Result<void>();
  }

  TreeContents contents_;
  TreeRecord record_;
  Sha256 digest_;
  std::vector<std::vector<std::string>> levels_;
  std::map<ino_t, std::uint64_t> linked_;  // to the number of its first name
  std::vector<char> buffer_;
};

}  // namespace

Result<TreeRecord> examine_tree(int directory, TreeContents contents) {
  return Examination(contents).run(directory);
}

}  // namespace bulkhead::storage
