#include "volumes/volumes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/text.h"
#include "storage/layout.h"
#include "storage/limited_space.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/random.h"
#include "sys/tree.h"
#include "volumes/memory.h"

namespace bulkhead::volumes {
namespace {

constexpr const char* kRecord = "volume.json";
constexpr std::size_t kLargestRecord = 1 << 20;
constexpr std::string_view kNew = ".new-";
constexpr std::string_view kGone = ".gone-";

Result<Fd> open_volumes(int store) {
  if (::mkdirat(store, kVolumes, 0700) != 0 && errno != EEXIST)
    return std::unexpected(Error(SysError{"mkdir", errno, kVolumes}));
  TRY_ASSIGN(Fd all, open_at(store, kVolumes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return all;
}

// The lock of all volumes, for a moment.
Result<Fd> lock_volumes(int store) {
  TRY_ASSIGN(Fd all, open_volumes(store));
  TRY_WITHIN("locking the volumes", Result<void>(lock_exclusive(all.get())));
  return all;
}

// Under the lock. Whoever works in one has its lock.
Result<void> sweep_locked(int all) {
  TRY_ASSIGN(const std::vector<std::string> names, list_directory(all, "."));
  for (const std::string& name : names) {
    if (!name.starts_with(kNew) && !name.starts_with(kGone)) continue;
    const auto left = open_at(all, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (left && try_lock_exclusive(left->get())) TRY(remove_tree_at(all, name.c_str()));
  }
  return {};
}

// A directory that nobody else sweeps away for as long as its descriptor is open.
struct Unfinished {
  std::string name;
  Fd directory;
};
Result<Unfinished> begin(int all, std::string_view prefix) {
  TRY_ASSIGN(const std::string random, random_name());
  Unfinished made{std::string(prefix) + random, {}};
  if (::mkdirat(all, made.name.c_str(), 0700) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, kVolumes}));
  TRY_ASSIGN(made.directory, open_at(all, made.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(lock_exclusive(made.directory.get()));
  return made;
}

Result<void> make_data(int parent) {
  if (::mkdirat(parent, kData, 0755) != 0 || ::fchmodat(parent, kData, 0755, 0) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, kData}));
  return {};
}

Result<void> write_record(int directory, const Volume& volume) {
  const std::string text = encode(volume);
  TRY_ASSIGN(const Fd file,
             open_at(directory, kRecord, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY(write_all(file.get(), text.data(), text.size()));
  // A volume whose record is lost with the power would be of no use to anybody.
  if (::fsync(file.get()) != 0 || ::fsync(directory) != 0)
    return std::unexpected(Error(SysError{"fsync", errno, kRecord}));
  return {};
}

Result<void> fill_new(int store, const Unfinished& made, const Volume& volume,
                      const Meaning& meaning) {
  if (meaning.kind == Kind::kImage) {
    storage::Snapshot space;
    space.store = store;
    space.container = storage::path_in(kVolumes, made.name);
    space.limit = storage::SizeLimit{meaning.bytes, storage::LimitMethod::kImageFile};
    TRY_ASSIGN(const Fd mount, storage::make_limited_space(space));
    TRY(make_data(mount.get()));
    TRY_ASSIGN(const Fd data, open_at(mount.get(), kData, O_RDONLY | O_DIRECTORY));
    if (::syncfs(data.get()) != 0) return std::unexpected(Error(SysError{"syncfs", errno}));
  } else if (meaning.kind == Kind::kDirectory) {
    TRY(make_data(made.directory.get()));
  }
  return write_record(made.directory.get(), volume);
}

Result<void> check_ability(int store, const Meaning& meaning) {
  if (meaning.kind == Kind::kBind) {
    struct stat status{};
    if (::stat(meaning.device.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
      return fail(ErrorKind::kNotFound,
                  "the volume's device " + quoted(meaning.device) + " is not a directory",
                  "make it first: bulkhead never makes directories on the host");
    return {};
  }
  if (meaning.kind != Kind::kImage) return {};
  storage::LimitAbilities abilities = storage::limit_abilities(store);
  abilities.project_quota = "volumes have no project of their own";
  auto method = storage::choose_limit_method(abilities, storage::LimitMethod::kImageFile,
                                             storage::Upper::kKept);
  if (method) return {};
  return fail(
      ErrorKind::kUnsupported,
      "the volume's option size: nothing here can enforce it (" + abilities.image_file + ")",
      "a limit that is not enforced is none: leave size= out, or make that work");
}

bool exists(int store, std::string_view name) {
  return ::faccessat(store, volume_path(name).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<bool> compare(int store, const Volume& wanted) {
  if (wanted.options.empty() && wanted.labels.empty()) return false;
  TRY_ASSIGN(const Volume there, find(store, wanted.name));
  if ((wanted.options.empty() || wanted.options == there.options) &&
      (wanted.labels.empty() || wanted.labels == there.labels))
    return false;
  return fail(ErrorKind::kExists,
              "the volume " + quoted(wanted.name) + " is there with other options or labels",
              "bulkhead volume inspect " + wanted.name +
                  " shows them; remove it, or choose another "
                  "name");
}

std::string now_rfc3339() {
  struct timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  struct tm parts{};
  char text[40];
  if (::gmtime_r(&now.tv_sec, &parts) == nullptr ||
      ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
    return "1970-01-01T00:00:00Z";
  return text;
}

Result<void> write_uses(int store, std::string_view container, const std::vector<Volume>& volumes) {
  std::string text;
  for (const Volume& volume : volumes)
    text.append(volume.name).append(volume.anonymous() ? " anonymous\n" : "\n");
  const std::string path = storage::path_in(storage::kContainers, container);
  TRY_ASSIGN(const Fd directory, open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const std::string unfinished = "." + std::string(kUses);
  {
    TRY_ASSIGN(const Fd file, open_at(directory.get(), unfinished.c_str(),
                                      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    TRY(write_all(file.get(), text.data(), text.size()));
  }
  if (::renameat(directory.get(), unfinished.c_str(), directory.get(), kUses) != 0)
    return std::unexpected(Error(SysError{"rename", errno, kUses}));
  return {};
}

}  // namespace

std::string volume_path(std::string_view name) { return storage::path_in(kVolumes, name); }

Result<bool> create(int store, const Volume& wanted) {
  if (!is_volume_name(wanted.name))
    return fail(ErrorKind::kUsage, "the volume name " + quoted(wanted.name) + " is not one",
                "a letter or digit, then letters, digits and _ . -; 2 to 255 of them");
  TRY_ASSIGN(const Meaning meaning, read_options(wanted.options));
  if (exists(store, wanted.name)) return compare(store, wanted);
  TRY(check_ability(store, meaning));
  TRY_ASSIGN(Fd all, lock_volumes(store));
  TRY(sweep_locked(all.get()));
  TRY_ASSIGN(const Unfinished made, begin(all.get(), kNew));
  // The others need not wait while a file system is made. The new one has a lock of its own.
  TRY_ASSIGN(const Fd parent, open_volumes(store));
  all.reset();
  Volume volume = wanted;
  volume.created = now_rfc3339();
  auto done = fill_new(store, made, volume, meaning);
  if (done && ::renameat2(parent.get(), made.name.c_str(), parent.get(), wanted.name.c_str(),
                          RENAME_NOREPLACE) == 0)
    return true;
  if (done && errno != EEXIST) done = std::unexpected(Error(SysError{"rename", errno, kVolumes}));
  [[maybe_unused]] const auto removed = remove_tree_at(parent.get(), made.name.c_str());
  if (!done) return std::unexpected(std::move(done).error());
  return compare(store, wanted);
}

Result<Volume> find(int store, std::string_view name) {
  const auto none = [&] {
    return fail(ErrorKind::kNotFound, "there is no volume " + quoted(name),
                "bulkhead volume ls lists them");
  };
  if (!is_volume_name(name)) return none();
  const std::string path = volume_path(name) + "/" + kRecord;
  const auto text = read_file_at(store, path.c_str(), kLargestRecord);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return none();
  if (!text) return std::unexpected(text.error());
  auto volume = decode_volume(*text);
  if (volume && volume->name != name)
    return fail(ErrorKind::kInvalid, "the record of the volume " + quoted(name) + " is another's");
  if (!volume)
    return std::unexpected(
        std::move(volume).error().within("the record of the volume " + quoted(name)));
  return *std::move(volume);
}

Result<std::vector<Volume>> list(int store) {
  TRY_ASSIGN(std::vector<std::string> names, list_directory(store, kVolumes));
  std::ranges::sort(names);
  std::vector<Volume> volumes;
  for (const std::string& name : names) {
    if (!is_volume_name(name)) continue;
    auto volume = find(store, name);
    if (volume) volumes.push_back(*std::move(volume));
    // It may have gone meanwhile.
    else if (volume.error().kind() != ErrorKind::kNotFound)
      return std::unexpected(std::move(volume).error());
  }
  return volumes;
}

Result<std::vector<std::string>> use(int store, std::string_view container,
                                     const std::vector<Volume>& wanted) {
  std::vector<std::string> made;
  for (;;) {
    for (const Volume& volume : wanted) {
      TRY_ASSIGN(const bool is_new, create(store, volume));
      if (is_new) made.push_back(volume.name);
    }
    TRY_ASSIGN(const Fd lock, lock_volumes(store));
    // One that was removed just now is made again.
    if (std::ranges::all_of(wanted, [&](const Volume& each) { return exists(store, each.name); })) {
      TRY(write_uses(store, container, wanted));
      return made;
    }
  }
}

Result<std::vector<Use>> used_by(int store, std::string_view container) {
  const std::string path =
      storage::path_in(storage::path_in(storage::kContainers, container), kUses);
  const auto text = read_file_at(store, path.c_str(), kLargestRecord);
  std::vector<Use> uses;
  if (!text && text.error().kind() == ErrorKind::kNotFound) return uses;
  if (!text) return std::unexpected(text.error());
  for (std::string_view line : split(*text, '\n')) {
    const std::string_view name = next_field(line, ' ');
    if (is_volume_name(name)) uses.push_back({std::string(name), line == "anonymous"});
  }
  return uses;
}

Result<Users> list_users(int store) {
  Users users;
  TRY_ASSIGN(const auto containers, list_directory(store, storage::kContainers));
  for (const std::string& container : containers) {
    TRY_ASSIGN(const auto uses, used_by(store, container));
    for (const Use& use : uses) users[use.name].push_back(container);
  }
  return users;
}

Result<void> remove(int store, std::string_view name, std::string_view but_for) {
  TRY_ASSIGN(Fd all, lock_volumes(store));
  TRY(sweep_locked(all.get()));
  if (!is_volume_name(name) || !exists(store, name))
    return fail(ErrorKind::kNotFound, "there is no volume " + quoted(name),
                "bulkhead volume ls lists them");
  TRY_ASSIGN(Users users, list_users(store));
  std::vector<std::string>& of_this = users[std::string(name)];
  std::erase(of_this, but_for);
  if (!of_this.empty()) {
    std::string ids;
    for (const std::string& id : of_this) ids.append(ids.empty() ? "" : ", ").append(id, 0, 12);
    return fail(ErrorKind::kState,
                "the volume " + quoted(name) + " is in use by the container" +
                    (of_this.size() > 1 ? "s " : " ") + ids,
                "remove what uses it first: bulkhead rm " + of_this.front().substr(0, 12));
  }
  const std::string text(name);
  TRY_ASSIGN(const Fd directory,
             open_at(all.get(), text.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (const auto locked = try_lock_exclusive(directory.get()); !locked) {
    if (locked.error().error != EWOULDBLOCK) return std::unexpected(Error(locked.error()));
    return fail(ErrorKind::kState, "the volume " + quoted(name) + " is being read or filled",
                "wait until that is done");
  }
  TRY(unmount_memory(directory.get()));
  TRY_ASSIGN(const std::string random, random_name());
  const std::string gone = std::string(kGone) + random;
  if (::renameat2(all.get(), text.c_str(), all.get(), gone.c_str(), RENAME_NOREPLACE) != 0)
    return std::unexpected(Error(SysError{"rename", errno, kVolumes}));
  TRY_ASSIGN(const Fd parent, open_volumes(store));
  all.reset();
  TRY_WITHIN("removing the volume " + quoted(name),
             Result<void>(remove_tree_at(parent.get(), gone.c_str())));
  return {};
}

Result<void> sweep(int store) {
  TRY_ASSIGN(const Fd all, lock_volumes(store));
  return sweep_locked(all.get());
}

Result<std::uint64_t> disk_bytes(int store, const Volume& volume) {
  TRY_ASSIGN(const Meaning meaning, read_options(volume.options));
  const std::string path = volume_path(volume.name) + "/";
  if (meaning.kind == Kind::kBind || meaning.kind == Kind::kMemory) return 0;
  if (meaning.kind == Kind::kDirectory) return tree_bytes_at(store, (path + kData).c_str());
  struct stat status{};
  if (::fstatat(store, (path + storage::kImageFile).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return 0;
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace bulkhead::volumes
