#include "isolation/cgroup/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr int kNotSupported = 524;  // the kernel's own ENOTSUPP, which leaks through some files

std::string hint_for(const CgroupSetting& setting, int error) {
  const std::string& file = setting.file;
  switch (error) {
    case ENOENT:
      if (file.starts_with("memory.memsw.") || file.starts_with("memory.swap."))
        return "this kernel does not account swap: boot it with swapaccount=1, or leave the swap "
               "limit out";
      if (file.find("burst") != std::string::npos) return "needs Linux 5.14";
      if (file == "cpu.idle") return "needs Linux 5.15";
      return "this kernel does not offer the file: leave the limit out";
    case EACCES:
    case EPERM:
      if (file.starts_with("devices."))
        return "the parent group does not allow what is asked for here";
      return "have the group delegated to this user, or start as root";
    case EROFS: return "the hierarchy is mounted read-only: mount it for writing";
    case EBUSY:
      if (file.starts_with("memory."))
        return "the group uses more than that already: choose a higher limit";
      break;
    case EINVAL:
      if (file == "cpu.rt_runtime_us" || file == "cpu.rt_period_us")
        return "a real-time budget comes out of the parent group's, which must have been given one "
               "first";
      if (file.starts_with("memory.memsw."))
        return "the limit of memory and swap together may not be less than the limit of memory";
      if (file.starts_with("memory.limit"))
        return "the limit of memory may not exceed that of memory and swap: give "
               "/linux/resources/memory/swap too";
      if (file.starts_with("cpu.cfs_") || file.starts_with("cpu.max"))
        return "periods are 1000 to 1000000 microseconds, quotas at least 1000, and a group may "
               "not have "
               "more than its parent, nor burst beyond its quota";
      break;
    case ENODEV:
    case ENXIO: return "there is no such device on this host";
    case ENOSPC:
      if (file.starts_with("cpuset."))
        return "the group's processes need at least one CPU and one memory node";
      break;
    default: break;
  }
  return {};
}

Error error_of(const std::string& directory, const CgroupSetting& setting, std::string_view value,
               int error) {
  const char* text = error == kNotSupported ? errno_text(EOPNOTSUPP) : errno_text(error);
  return Error(
      error == ENOENT || error == kNotSupported ? ErrorKind::kUnsupported : kind_of_errno(error),
      setting.why + ": writing " + quoted(value) + " to " + directory + "/" + setting.file + ": " +
          text,
      hint_for(setting, error));
}

// Only for values that the kernel may round to whole pages.
bool same_bytes(std::string_view wanted, std::string_view found) {
  const auto a = parse_number<std::uint64_t>(wanted);
  const auto b = parse_number<std::uint64_t>(found);
  constexpr std::uint64_t kLargestPage = 64 * 1024;
  return a && b && *b <= *a + kLargestPage && *a <= *b + kLargestPage;
}

}  // namespace

std::optional<std::string> value_of(const std::string& directory, const char* file) {
  const auto opened = open_at(AT_FDCWD, (directory + "/" + file).c_str(), O_RDONLY);
  if (!opened) return std::nullopt;
  std::string text;
  char portion[4096];
  for (;;) {
    const ssize_t size = ::read(opened->get(), portion, sizeof portion);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::nullopt;
    text.append(portion, static_cast<std::size_t>(size));
    // The kernel fills its page before it answers: much less than one is the end, and saves a call.
    if (static_cast<std::size_t>(size) < sizeof portion / 2) break;
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::optional<std::uint64_t> number_of(const std::string& directory, const char* file) {
  const auto text = value_of(directory, file);
  if (!text) return std::nullopt;
  if (*text == "max") return UINT64_MAX;
  return parse_number<std::uint64_t>(*text);
}

std::optional<std::uint64_t> number_in(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    if (next_field(line, ' ') == key) return parse_number<std::uint64_t>(line);
  }
  return std::nullopt;
}

Result<Written> write_setting(const std::string& directory, const CgroupSetting& setting) {
  const std::string path = directory + "/" + setting.file;
  const auto file = open_at(AT_FDCWD, path.c_str(), O_WRONLY);
  if (!file) {
    if (file.error().error == ENOENT && setting.if_missing != CgroupSetting::IfMissing::kRefuse)
      return Written::kNoSuchFile;
    return std::unexpected(error_of(directory, setting, setting.value, file.error().error));
  }
  std::string_view rest = setting.value;
  while (!rest.empty()) {
    const std::string_view line = next_field(rest, '\n');
    if (line.empty()) continue;
    const ssize_t written = ::write(file->get(), line.data(), line.size());
    if (written != static_cast<ssize_t>(line.size()))
      return std::unexpected(error_of(directory, setting, line, written < 0 ? errno : EIO));
  }
  if (setting.read_back) {
    const auto found = value_of(directory, setting.file.c_str());
    if (!found || !same_bytes(setting.value, *found))
      return std::unexpected(error_of(directory, setting, setting.value, EOPNOTSUPP));
  }
  return Written::kYes;
}

Result<void> write_settings(const std::string& directory,
                            const std::vector<CgroupSetting>& settings) {
  for (std::size_t i = 0; i < settings.size(); ++i) {
    TRY_ASSIGN(Written written, write_setting(directory, settings[i]));
    if (settings[i].if_missing != CgroupSetting::IfMissing::kOneOf) continue;
    const std::size_t first = i;
    while (i + 1 < settings.size() &&
           settings[i + 1].if_missing == CgroupSetting::IfMissing::kOneOf &&
           settings[i + 1].why == settings[first].why) {
      TRY_ASSIGN(const Written other, write_setting(directory, settings[++i]));
      if (other == Written::kYes) written = Written::kYes;
    }
    if (written == Written::kNoSuchFile)
      return std::unexpected(error_of(directory, settings[first], settings[first].value, ENOENT));
  }
  return {};
}

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty())
    if (next_field(words, ' ') == word) return true;
  return false;
}

Result<void> enable_controllers(const std::string& root, const std::string& directory,
                                const std::vector<std::string>& controllers) {
  for (std::size_t end = root.size(); end < directory.size() && end != std::string::npos;
       end = directory.find('/', end + 1)) {
    const std::string parent = directory.substr(0, end);
    const std::string enabled = value_of(parent, "cgroup.subtree_control").value_or("");
    std::string missing;
    for (const std::string& controller : controllers)
      if (!has_word(enabled, controller))
        missing.append(missing.empty() ? "+" : " +").append(controller);
    if (missing.empty()) continue;
    const auto written =
        write_file_at(AT_FDCWD, (parent + "/cgroup.subtree_control").c_str(), missing);
    if (written) continue;
    const int error = written.error().error;
    return fail(
        kind_of_errno(error),
        "enabling the controllers " + quoted(missing) + " in " + parent + ": " + errno_text(error),
        error == EBUSY ? "that group holds processes itself, and cgroup v2 shares resources out "
                         "only among groups without: move them to a group of their own"
                       : "have the controllers delegated to this user, or start as root");
  }
  return {};
}

std::vector<std::string> subgroups(const std::string& directory) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  return names;
}

namespace {

// A group may vanish at any moment: then it has no processes.
bool is_gone(int error) { return error == ENOENT || error == ENODEV; }

Result<void> collect(const std::string& directory, std::vector<HostPid>& found) {
  const auto file = open_at(AT_FDCWD, (directory + "/cgroup.procs").c_str(), O_RDONLY);
  if (!file && is_gone(file.error().error)) return {};
  if (!file) return std::unexpected(Error(SysError{"open", file.error().error, directory.c_str()}));
  // Groups of threads (v2) do not list processes.
  if (const auto text = read_fd(file->get(), std::size_t{1} << 24)) {
    std::string_view rest = *text;
    while (!rest.empty()) {
      const auto pid = parse_number<std::int32_t>(next_field(rest, '\n'));
      if (pid && *pid > 0) found.emplace_back(*pid);
    }
  }
  for (const std::string& name : subgroups(directory)) TRY(collect(directory + "/" + name, found));
  return {};
}

}  // namespace

Result<std::vector<HostPid>> processes_in(const std::string& directory) {
  std::vector<HostPid> found;
  TRY(collect(directory, found));
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

SysResult<void> remove_tree(const std::string& directory) {
  if (::rmdir(directory.c_str()) == 0 || is_gone(errno)) return {};
  if (errno != EBUSY) return sys_fail("rmdir");
  for (const std::string& name : subgroups(directory)) TRY(remove_tree(directory + "/" + name));
  if (::rmdir(directory.c_str()) == 0 || is_gone(errno)) return {};
  return sys_fail("rmdir");
}

bool Patience::wait() {
  if (left_us_ == 0) return false;
  const std::uint64_t now = std::min(next_us_, left_us_);
  const timespec time = {static_cast<time_t>(now / 1'000'000),
                         static_cast<long>(now % 1'000'000 * 1000)};
  ::nanosleep(&time, nullptr);
  left_us_ -= now;
  next_us_ = std::min<std::uint64_t>(next_us_ * 2, 20'000);
  return true;
}

bool wait_for_event(const std::string& directory, std::string_view key, std::uint64_t value,
                    int milliseconds) {
  const auto file = open_at(AT_FDCWD, (directory + "/cgroup.events").c_str(), O_RDONLY);
  if (!file) return false;
  timespec start{};
  ::clock_gettime(CLOCK_MONOTONIC, &start);
  for (;;) {
    // Reading first: poll(2) then reports what has changed since.
    char text[256];
    const ssize_t size = ::pread(file->get(), text, sizeof text, 0);
    if (size < 0) return false;
    if (number_in(std::string_view(text, static_cast<std::size_t>(size)), key) == value)
      return true;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const long spent =
        (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1'000'000;
    if (spent >= milliseconds) return false;
    pollfd item = {file->get(), POLLPRI, 0};
    ::poll(&item, 1, milliseconds - static_cast<int>(spent));
  }
}

}  // namespace bulkhead::isolation::cgroup
