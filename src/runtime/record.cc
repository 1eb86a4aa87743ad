#include "runtime/record.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>

#include "base/text.h"
#include "runtime/record_json.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::runtime {
namespace {

constexpr std::size_t kLongestId = 1024;
constexpr std::size_t kLargestRecord = 16U << 20;
constexpr const char* kRecordFile = "state.json";
constexpr const char* kConfigFile = "config.json";
constexpr const char* kInitFile = "init";
constexpr const char* kCreatingInitFile = "init.creating";
constexpr const char* kStartSocket = "start.sock";

Error no_such_container(std::string_view id) {
  return {ErrorKind::kNotFound, "container " + quoted(id) + " does not exist"};
}

std::unexpected<Error> id_is_taken(std::string_view id) {
  return fail(ErrorKind::kExists, "container with id " + quoted(id) + " already exists",
              "choose another id, or delete that container");
}

// Where others can write to the state root, they can put a directory of theirs in our place. Into ours,
// which is for its owner alone, they cannot.
Result<void> check_owner(int directory, const std::string& path) {
  struct stat status{};
  if (::fstat(directory, &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  if (status.st_uid == ::geteuid()) return {};
  return fail(ErrorKind::kState,
              "the state " + quoted(path) + " belongs to user " + std::to_string(status.st_uid),
              "it says what is done to processes and cgroups: only its owner may use it");
}

// By the number that the kernel gives the namespace that it starts with (PROC_USER_INIT_INO).
bool in_initial_user_namespace() {
  struct stat status{};
  return ::stat("/proc/self/ns/user", &status) == 0 && status.st_ino == 0xEFFFFFFDU;
}

// The address of start.sock in the directory held as `directory`: its own path may exceed what a
// socket address holds.
sockaddr_un start_address(int directory) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  constexpr std::string_view kPrefix = "/proc/self/fd/";
  char* at = address.sun_path;
  std::memcpy(at, kPrefix.data(), kPrefix.size());
  at += kPrefix.size();
  at = std::to_chars(at, at + 12, directory).ptr;
  *at++ = '/';
  std::strcpy(at, kStartSocket);
  return address;
}

// flock(2); the name of its header is taken by our own.
int lock_file(int fd, int operation) noexcept {
  return static_cast<int>(::syscall(SYS_flock, fd, operation));
}

// The process's state letter and start time from /proc/PID/stat; nothing when there is none.
struct ProcessStat {
  char state = 'X';
  std::uint64_t start_time = 0;
};
std::optional<ProcessStat> stat_of(HostPid pid) {
  char path[32] = "/proc/";
  char* end = std::to_chars(path + 6, path + 20, pid.value()).ptr;
  std::strcpy(end, "/stat");
  std::array<char, 1024> buffer;
  const auto text = read_small_file_at(AT_FDCWD, path, buffer);
  if (!text) return std::nullopt;
  const std::size_t name_end = text->rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= text->size()) return std::nullopt;
  std::string_view rest = text->substr(name_end + 2);
  ProcessStat stat{rest.front()};
  for (int field = 3; field < 22; ++field) next_field(rest, ' ');
  stat.start_time = parse_number<std::uint64_t>(next_field(rest, ' ')).value_or(0);
  return stat;
}

bool lives(const InitProcess& init) {
  const auto stat = stat_of(init.pid);
  return stat && stat->start_time == init.start_time && stat->state != 'Z' && stat->state != 'X';
}

// One open, of the group that CgroupSet::freeze() uses: the v2 one where there is one.
bool is_frozen(const std::vector<std::string>& cgroups) {
  std::string file;
  for (const std::string_view group : cgroups) {
    const std::size_t colon = group.find(':');
    const std::string_view controllers = group.substr(0, colon);
    const std::string directory(group.substr(colon + 1));
    if (controllers.empty()) {
      file = directory + "/cgroup.events";
      break;
    }
    if (("," + std::string(controllers) + ",").find(",freezer,") != std::string::npos)
      file = directory + "/freezer.state";
  }
  if (file.empty()) return false;
  std::array<char, 512> buffer;
  const auto text = read_small_file_at(AT_FDCWD, file.c_str(), buffer);
  if (!text) return false;
  // v1 says FREEZING, then FROZEN; v2 has a line "frozen 1".
  return text->starts_with("FR") || text->find("frozen 1") != std::string_view::npos;
}

Result<std::optional<InitProcess>> read_init(int directory, const char* name) {
  std::array<char, 64> buffer;
  const auto text = read_small_file_at(directory, name, buffer);
  if (!text && text.error().error == ENOENT) return std::nullopt;
  if (!text) return std::unexpected(Error(text.error()));
  std::string_view rest = *text;
  const auto pid = parse_number<std::int32_t>(next_field(rest, ' '));
  const auto start_time = parse_number<std::uint64_t>(next_field(rest, '\n'));
  // Create was killed while it wrote: its child has died with it.
  if (!pid || !start_time) return std::nullopt;
  return InitProcess{HostPid(*pid), *start_time};
}

}  // namespace

Result<std::string> default_state_root() {
  const char* runtime_directory = std::getenv("XDG_RUNTIME_DIR");
  const bool root = ::geteuid() == 0;
  // Root of a user namespace (rootless engines) has no right to the host's /run.
  if (root && (runtime_directory == nullptr || in_initial_user_namespace()))
    return "/run/bulkhead/runtime";
  if (runtime_directory == nullptr || runtime_directory[0] != '/')
    return fail(ErrorKind::kUsage, "XDG_RUNTIME_DIR is not set, so there is no place for the state",
                "set XDG_RUNTIME_DIR, or give a directory of yours with --root");
  return std::string(runtime_directory) + "/bulkhead/runtime";
}

Result<void> check_id(std::string_view id) {
  const auto invalid = [&](const char* why) {
    return fail(ErrorKind::kInvalid, "invalid container id " + quoted(id) + ": " + why);
  };
  if (id.empty()) return fail(ErrorKind::kInvalid, "container id cannot be empty");
  if (id.size() > kLongestId) return invalid("longer than 1024 bytes");
  if (id == "." || id == "..") return invalid("it means a directory");
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '.';
  };
  if (!std::ranges::all_of(id, allowed))
    return invalid("only letters, digits and _+-. are allowed");
  return {};
}

Result<ContainerDirectory> ContainerDirectory::take(const std::string& state_root,
                                                    std::string_view id) {
  TRY(check_id(id));
  std::string path = state_root + "/" + std::string(id);
  const auto make = [&] { return ::mkdir(path.c_str(), 0700) == 0 ? 0 : errno; };
  for (;;) {
    int error = make();
    if (error == ENOENT) {
      TRY_WITHIN("making the state directory", make_directories(state_root));
      error = make();
    }
    if (error == EEXIST) return id_is_taken(id);
    if (error == ENAMETOOLONG)
      return fail(ErrorKind::kInvalid,
                  "invalid container id " + quoted(id) + ": too long for a directory's name");
    if (error != 0) return std::unexpected(Error(SysError{"mkdir", error, path.c_str()}));
    auto directory = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY);
    SysError failure;
    if (directory) {
      ContainerDirectory container(*std::move(directory), std::string(id), path);
      const auto locked = container.lock();
      // A delete may have taken ours away, and another create have made and used the one that we opened.
      if (locked && ::faccessat(container.get(), kRecordFile, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return id_is_taken(id);
      if (locked) return container;
      failure = locked.error();
    } else {
      failure = directory.error();
    }
    // A delete came between our mkdir and our lock: it found nothing in there, and took it away.
    if (failure.error == ENOENT) continue;
    // Should somebody else have made it anew meanwhile, it is not empty, or made once more.
    (void)::rmdir(path.c_str());
    return std::unexpected(Error(failure));
  }
}

Result<ContainerDirectory> ContainerDirectory::open(const std::string& state_root,
                                                    std::string_view id) {
  TRY(check_id(id));
  std::string path = state_root + "/" + std::string(id);
  auto directory = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) {
    const int error = directory.error().error;
    if (error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG)
      return std::unexpected(no_such_container(id));
    return std::unexpected(Error(directory.error()));
  }
  TRY(check_owner(directory->get(), path));
  return ContainerDirectory(*std::move(directory), std::string(id), std::move(path));
}

Result<ContainerDirectory> ContainerDirectory::open_locked(const std::string& state_root,
                                                           std::string_view id) {
  auto container = open(state_root, id);
  if (!container) return container;
  auto locked = container->lock();
  if (!locked && locked.error().error == ENOENT) return std::unexpected(no_such_container(id));
  if (!locked) return std::unexpected(Error(locked.error()).within(container->path()));
  return container;
}

SysResult<void> ContainerDirectory::lock() const noexcept { return lock_with(LOCK_EX); }
SysResult<void> ContainerDirectory::try_lock() const noexcept {
  return lock_with(LOCK_EX | LOCK_NB);
}

SysResult<void> ContainerDirectory::lock_with(int operation) const noexcept {
  while (lock_file(directory_.get(), operation) != 0)
    if (errno != EINTR) return sys_fail("flock");
  struct stat status{};
  if (::fstat(directory_.get(), &status) != 0) return sys_fail("fstat");
  // Whoever held the lock before us may have removed the container.
  if (status.st_nlink == 0) return sys_fail_with(ENOENT, "flock");
  return {};
}

void ContainerDirectory::unlock() const noexcept { (void)lock_file(directory_.get(), LOCK_UN); }

Result<std::vector<std::string>> ContainerDirectory::list(const std::string& state_root) {
  std::vector<std::string> ids;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(state_root.c_str()), ::closedir);
  if (!directory) {
    if (errno == ENOENT) return ids;
    return std::unexpected(Error(SysError{"opendir", errno, state_root.c_str()}));
  }
  while (const dirent* entry = ::readdir(directory.get()))
    if ((entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) && check_id(entry->d_name))
      ids.emplace_back(entry->d_name);
  std::ranges::sort(ids);
  return ids;
}

Result<void> ContainerDirectory::replace_file(const char* name, std::string_view content) const {
  const std::string temporary = std::string(".") + name;
  {
    TRY_ASSIGN(const Fd file,
               open_at(get(), temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    if (auto written = write_all(file.get(), content.data(), content.size()); !written)
      return std::unexpected(Error(written.error()).within(path_ + "/" + name));
  }
  if (::renameat(get(), temporary.c_str(), get(), name) != 0)
    return std::unexpected(Error(SysError{"rename", errno, name}).within(path_));
  return {};
}

Result<void> ContainerDirectory::write_record(const Record& record) const {
  return replace_file(kRecordFile, encode_record(record));
}

Result<Record> ContainerDirectory::read_record() const {
  auto text = read_file_at(get(), kRecordFile, kLargestRecord);
  if (!text && text.error().kind() == ErrorKind::kNotFound)
    return fail(ErrorKind::kState, "container " + quoted(id_) + " was never wholly created",
                "its creation is under way, or was interrupted: delete --force removes it");
  if (!text) return std::unexpected(std::move(text).error().within(path_));
  auto record = decode_record(*text);
  if (!record) return std::unexpected(std::move(record).error().within(path_ + "/" + kRecordFile));
  if (record->id != id_)
    return fail(ErrorKind::kInvalid,
                path_ + "/" + kRecordFile + " is the record of container " + quoted(record->id),
                "the state directory was changed from outside");
  return record;
}

Result<void> ContainerDirectory::write_config(std::string_view json) const {
  return replace_file(kConfigFile, json);
}

Result<std::string> ContainerDirectory::read_config() const {
  auto text = read_file_at(get(), kConfigFile, kLargestRecord);
  if (!text) return std::unexpected(std::move(text).error().within(path_));
  return text;
}

SysResult<void> ContainerDirectory::write_init(const InitProcess& init) const noexcept {
  std::array<char, 48> text;
  char* at = std::to_chars(text.data(), text.data() + 12, init.pid.value()).ptr;
  *at++ = ' ';
  at = std::to_chars(at, text.data() + text.size() - 1, init.start_time).ptr;
  *at++ = '\n';
  TRY_ASSIGN(const Fd file, open_at(get(), kCreatingInitFile, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  return write_all(file.get(), text.data(), static_cast<std::size_t>(at - text.data()));
}

SysResult<void> ContainerDirectory::confirm_init() const noexcept {
  if (::renameat(get(), kCreatingInitFile, get(), kInitFile) != 0)
    return sys_fail("rename", kInitFile);
  return {};
}

SysResult<Fd> ContainerDirectory::bind_start_socket() const noexcept {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return sys_fail("socket");
  const sockaddr_un address = start_address(get());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_fail("bind", kStartSocket);
  if (::listen(socket.get(), 1) != 0) return sys_fail("listen", kStartSocket);
  return socket;
}

SysResult<Fd> ContainerDirectory::connect_start_socket() const noexcept {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return sys_fail("socket");
  const sockaddr_un address = start_address(get());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_fail("connect", kStartSocket);
  return socket;
}

SysResult<void> ContainerDirectory::remove_start_socket() const noexcept {
  if (::unlinkat(get(), kStartSocket, 0) != 0 && errno != ENOENT)
    return sys_fail("unlink", kStartSocket);
  return {};
}

Result<std::optional<InitProcess>> ContainerDirectory::first_process() const {
  TRY_ASSIGN(const std::optional<InitProcess> init, read_init(get(), kInitFile));
  if (init) return init;
  return read_init(get(), kCreatingInitFile);
}

Result<Observation> ContainerDirectory::observe(const Record& record) const {
  TRY_ASSIGN(std::optional<InitProcess> init, read_init(get(), kInitFile));
  if (!init) {
    TRY_ASSIGN(init, read_init(get(), kCreatingInitFile));
    // Create holds the lock as long as it works. When nobody (or we ourselves) holds it, create has
    // died, and what it made has died with it.
    if (lock_file(get(), LOCK_EX | LOCK_NB) != 0)
      return Observation{Status::kCreating, init.value_or(InitProcess{})};
    return Observation{init && lives(*init) ? Status::kCreating : Status::kStopped,
                       init.value_or(InitProcess{})};
  }
  if (!lives(*init)) return Observation{Status::kStopped, *init};
  if (::faccessat(get(), kStartSocket, F_OK, 0) == 0) return Observation{Status::kCreated, *init};
  return Observation{is_frozen(record.cgroup_directories) ? Status::kPaused : Status::kRunning,
                     *init};
}

Result<PidFd> ContainerDirectory::hold(const InitProcess& init) {
  return PidFd::open_same(init.pid, init.start_time);
}

Result<void> ContainerDirectory::remove() && {
  auto locked = lock();
  // Somebody else has removed it; at its path there may be another container by now.
  if (!locked && locked.error().error == ENOENT) return {};
  if (!locked) return std::unexpected(Error(locked.error()).within(path_));
  Fd listing(::openat(get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(
      listing ? ::fdopendir(listing.get()) : nullptr, ::closedir);
  if (!directory) return std::unexpected(Error(SysError{"opendir", errno, path_.c_str()}));
  (void)listing.release();
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (::unlinkat(get(), entry->d_name, 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM)
      return std::unexpected(Error(SysError{"unlink", errno, entry->d_name}).within(path_));
    // The one directory in there is the notification socket's.
    const std::string socket = std::string(name) + "/notify.sock";
    (void)::unlinkat(get(), socket.c_str(), 0);
    if (::unlinkat(get(), entry->d_name, AT_REMOVEDIR) != 0 && errno != ENOENT)
      return std::unexpected(Error(SysError{"rmdir", errno, entry->d_name}).within(path_));
  }
  if (::rmdir(path_.c_str()) != 0 && errno != ENOENT)
    return std::unexpected(Error(SysError{"rmdir", errno, path_.c_str()}));
  return {};
}

std::string now_rfc3339() {
  struct timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  // Not gmtime_r(3): it reads the host's time zone from files, which UTC has no use for.
  using namespace std::chrono;
  const sys_seconds whole{seconds(now.tv_sec)};
  const year_month_day date{floor<days>(whole)};
  const hh_mm_ss time{whole - floor<days>(whole)};
  std::array<char, 64> text;
  const auto size = static_cast<std::size_t>(std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
      static_cast<int>(time.seconds().count())));
  std::array<char, 10> fraction;
  for (std::size_t i = 9, rest = static_cast<std::size_t>(now.tv_nsec); i > 0; --i, rest /= 10)
    fraction[i] = static_cast<char>('0' + rest % 10);
  fraction[0] = '.';
  return std::string(text.data(), size).append(fraction.data(), fraction.size()).append("Z");
}

}  // namespace bulkhead::runtime
