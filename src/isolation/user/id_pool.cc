#include "isolation/user/id_pool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/text.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/tree.h"

namespace bulkhead::isolation {
namespace {

struct Reserved {
  IdRange range;
  std::string_view whose;
};
// systemd's documentation "Users, Groups, UIDs and GIDs on systemd systems".
constexpr std::array<Reserved, 4> kReserved{{
    {{0, 65'536}, "the system's users, systemd-homed's and systemd's dynamic users"},
    {{524'288, 1'879'048'192 - 524'288}, "containers of systemd-nspawn"},
    {{2'147'352'576, 65'536}, "foreign images of systemd"},
    {{2'147'483'647, 0xFFFFFFFF - 2'147'483'647}, "programs that take such ids for negative"},
}};
constexpr std::string_view kOwnEntries = "bulkhead";
constexpr int kDeepest = 200;

Result<void> check_owner(std::string_view owner) {
  constexpr std::size_t kLongest = 200;  // a file name takes 255
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-' || c == '+';
  };
  if (owner.empty() || owner.size() > kLongest || !std::ranges::all_of(owner, fits))
    return fail(ErrorKind::kInvalid, quoted(owner) + " cannot own a range of ids",
                "use letters, digits, '_', '.', '-' and '+'");
  return {};
}

std::string file_name(std::uint32_t first, std::string_view owner) {
  return std::to_string(first) + "-" + std::string(owner);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Result<Directory> open_directory(int parent, const char* name) {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return std::unexpected(Error(SysError{"open", errno, name}));
  Directory directory(::fdopendir(fd));
  if (!directory) {
    const Error error(SysError{"fdopendir", errno, name});
    ::close(fd);
    return std::unexpected(error);
  }
  return directory;
}

bool is_dot(std::string_view name) { return name == "." || name == ".."; }

bool has_id(const IdRange& range, const struct stat& status) {
  return range.contains({status.st_uid, 1}) || range.contains({status.st_gid, 1});
}

Result<std::string> search(int parent, const char* name, const IdRange& range,
                           const std::string& path, int depth) {
  if (depth > kDeepest)
    return fail(ErrorKind::kState, quoted(path) + " is nested too deeply to be searched",
                "remove it");
  TRY_ASSIGN(const Directory directory, open_directory(parent, name));
  const int fd = ::dirfd(directory.get());
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0)
      return std::unexpected(Error(SysError{"readdir", errno, path.c_str()}));
    if (entry == nullptr) return std::string();
    if (is_dot(static_cast<const char*>(entry->d_name))) continue;
    struct stat status{};
    const std::string inner = path + "/" + entry->d_name;
    if (::fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
      if (errno == ENOENT) continue;
      return std::unexpected(Error(SysError{"stat", errno, inner.c_str()}));
    }
    if (has_id(range, status)) return inner;
    if (!S_ISDIR(status.st_mode)) continue;
    TRY_ASSIGN(std::string found, search(fd, entry->d_name, range, inner, depth + 1));
    if (!found.empty()) return found;
  }
}

// The ranges of a map such as /proc/self/uid_map: what this process can name.
Result<std::vector<IdRange>> mapped_ranges(const char* path) {
  TRY_ASSIGN(const std::string text, read_file_at(AT_FDCWD, path));
  std::vector<IdRange> ranges;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = trim(next_field(rest, '\n'));
    const auto number = [&] {
      const auto value = parse_number<std::uint32_t>(next_field(line, ' '));
      line = trim(line);
      return value;
    };
    const auto first = number();
    number();
    const auto count = number();
    if (first && count) ranges.push_back({*first, *count});
  }
  return ranges;
}

bool covers(std::span<const IdRange> ranges, const IdRange& wanted) {
  return std::ranges::any_of(ranges, [&](const IdRange& range) { return range.contains(wanted); });
}

}  // namespace

Result<IdRange> configured_id_pool(const char* path) {
  const auto file = open_at(AT_FDCWD, path, O_RDONLY);
  if (!file && file.error().error == ENOENT) return kDefaultIdPool;
  if (!file) return std::unexpected(Error(file.error()));
  TRY_ASSIGN(const std::string text, read_fd(file->get()));
  std::optional<IdRange> pool;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view whole = next_field(rest, '\n');
    std::string_view line = trim(next_field(whole, '#'));
    if (line.empty()) continue;
    const auto first = parse_number<std::uint32_t>(next_field(line, ':'));
    const auto count = parse_number<std::uint32_t>(line);
    if (!first || !count || pool)
      return fail(ErrorKind::kInvalid, std::string(path) + ": not in the form FIRST:COUNT",
                  "write one line, such as 1879048192:268304384");
    pool = IdRange{*first, *count};
  }
  if (!pool) return kDefaultIdPool;
  TRY_WITHIN(path, check_id_pool(*pool));
  return *pool;
}

Result<void> check_id_pool(const IdRange& pool) {
  const std::string words =
      "the id pool " + std::to_string(pool.first) + ":" + std::to_string(pool.count);
  if (pool.count < kIdsPerContainer)
    return fail(ErrorKind::kInvalid, words + " holds fewer than 65536 ids");
  for (const Reserved& reserved : kReserved)
    if (reserved.range.overlaps(pool))
      return fail(ErrorKind::kInvalid,
                  words + " overlaps with " + std::to_string(reserved.range.first) + " to " +
                      std::to_string(reserved.range.end() - 1) + ", which are kept for " +
                      std::string(reserved.whose),
                  "choose ids from 65536 to 524287 or from 1879048192 to 2147352575");
  return {};
}

Result<IdPool> IdPool::open(const std::string& directory, const IdRange& pool,
                            const IdPoolFiles& files) {
  TRY(check_id_pool(pool));
  TRY_WITHIN("making the directory of the host ids in use", make_directories(directory));
  TRY_ASSIGN(Fd fd, open_at(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY));
  return IdPool(std::move(fd), pool, files);
}

Result<std::vector<IdAllocation>> IdPool::list() const {
  TRY_ASSIGN(const Directory directory, open_directory(directory_.get(), "."));
  std::vector<IdAllocation> allocations;
  errno = 0;
  while (const struct dirent* entry = ::readdir(directory.get())) {
    std::string_view owner = static_cast<const char*>(entry->d_name);
    const auto first = parse_number<std::uint32_t>(next_field(owner, '-'));
    if (first) allocations.push_back({{*first, kIdsPerContainer}, std::string(owner)});
    errno = 0;
  }
  if (errno != 0) return std::unexpected(Error(SysError{"readdir", errno}));
  std::ranges::sort(allocations, {}, [](const IdAllocation& a) { return a.range.first; });
  return allocations;
}

Result<std::vector<IdRange>> IdPool::not_ours() const {
  std::vector<IdRange> ranges;
  for (const char* path : {files_.subordinate_uids, files_.subordinate_gids}) {
    TRY_ASSIGN(const std::vector<SubordinateRange> entries, read_subordinate_ranges(path));
    for (const SubordinateRange& entry : entries)
      if (entry.owner != kOwnEntries) ranges.push_back(entry.range);
  }
  return ranges;
}

Result<IdRange> IdPool::allocate(std::string_view owner) {
  TRY(check_owner(owner));
  TRY_ASSIGN(const std::vector<IdRange> foreign, not_ours());
  TRY_ASSIGN(const std::vector<IdRange> uids, mapped_ranges(files_.uid_map));
  TRY_ASSIGN(const std::vector<IdRange> gids, mapped_ranges(files_.gid_map));
  // A lock of one's own open file, so that threads and other users of this pool are kept out, too.
  TRY_ASSIGN(const Fd lock, open_at(directory_.get(), "lock", O_RDWR | O_CREAT, 0600));
  TRY(lock_exclusive(lock.get()));
  TRY_ASSIGN(const std::vector<IdAllocation> taken, list());
  for (const IdAllocation& allocation : taken)
    if (allocation.owner == owner) return allocation.range;
  auto next = taken.begin();
  IdRange candidate{pool_.first, kIdsPerContainer};
  for (; pool_.contains(candidate); candidate.first += kIdsPerContainer) {
    while (next != taken.end() && next->range.end() <= candidate.first) ++next;
    if (next != taken.end() && next->range.overlaps(candidate)) continue;
    if (std::ranges::any_of(foreign, [&](const IdRange& f) { return f.overlaps(candidate); }) ||
        !covers(uids, candidate) || !covers(gids, candidate))
      continue;
    const std::string name = file_name(candidate.first, owner);
    TRY(open_at(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
    return candidate;
  }
  return fail(ErrorKind::kState,
              "no range of 65536 ids is free: " + std::to_string(taken.size()) + " are taken",
              "remove containers, or configure a larger pool in " + std::string(kIdPoolFile));
}

Result<void> IdPool::share(const IdRange& range, std::string_view owner) {
  TRY(check_owner(owner));
  TRY_ASSIGN(const Fd lock, open_at(directory_.get(), "lock", O_RDWR | O_CREAT, 0600));
  TRY(lock_exclusive(lock.get()));
  TRY_ASSIGN(const std::vector<IdAllocation> taken, list());
  if (std::ranges::find(taken, range, &IdAllocation::range) == taken.end())
    return fail(ErrorKind::kState, "the ids from " + std::to_string(range.first) +
                                       " on belong to no container of this host any more");
  const std::string name = file_name(range.first, owner);
  TRY(open_at(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
  return {};
}

Result<void> IdPool::release(std::string_view owner, std::span<const int> places) {
  TRY(check_owner(owner));
  TRY_ASSIGN(const std::vector<IdAllocation> taken, list());
  const auto own = std::ranges::find(taken, owner, &IdAllocation::owner);
  if (own == taken.end()) return {};
  // Outside of the lock: only the owner's own range is concerned, and a search may take long. One that
  // is shared stays taken.
  const bool shared = std::ranges::count(taken, own->range, &IdAllocation::range) > 1;
  for (const int place : shared ? std::span<const int>() : places) {
    TRY_ASSIGN(const std::string found, find_file_of(place, own->range));
    if (!found.empty())
      return fail(ErrorKind::kState,
                  "the ids " + std::to_string(own->range.first) + " to " +
                      std::to_string(own->range.end() - 1) + " are still in use by the file " +
                      quoted(found),
                  "remove the file, or give it to another user");
  }
  TRY_ASSIGN(const Fd lock, open_at(directory_.get(), "lock", O_RDWR | O_CREAT, 0600));
  TRY(lock_exclusive(lock.get()));
  const std::string name = file_name(own->range.first, owner);
  if (::unlinkat(directory_.get(), name.c_str(), 0) != 0 && errno != ENOENT)
    return std::unexpected(Error(SysError{"unlink", errno, name.c_str()}));
  return {};
}

Result<std::string> find_file_of(int directory, const IdRange& range) {
  struct stat status{};
  if (::fstat(directory, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  if (has_id(range, status)) return std::string(".");
  return search(directory, ".", range, ".", 0);
}

}  // namespace bulkhead::isolation
