#include "cli/runtime/process_table.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <vector>

#include "base/text.h"
#include "cli/runtime/output.h"
#include "runtime/user_names.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

std::string two_digits(std::uint64_t number) {
  return {static_cast<char>('0' + number / 10 % 10), static_cast<char>('0' + number % 10)};
}

struct Clock {
  std::int64_t now = 0;       // seconds since the epoch
  std::int64_t boot = 0;      // seconds since the epoch
  std::uint64_t ticks = 100;  // a second

  static Clock read() {
    Clock clock;
    struct timespec now{};
    struct timespec since_boot{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
    clock.now = now.tv_sec;
    clock.boot = now.tv_sec - since_boot.tv_sec;
    if (const long ticks = ::sysconf(_SC_CLK_TCK); ticks > 0)
      clock.ticks = static_cast<std::uint64_t>(ticks);
    return clock;
  }
};

// "14:05" within the last day, else "Nov22".
std::string start_text(std::int64_t start, std::int64_t now) {
  struct tm parts{};
  const time_t seconds = start;
  ::localtime_r(&seconds, &parts);
  if (now - start < 24 * 60 * 60)
    return two_digits(static_cast<std::uint64_t>(parts.tm_hour)) + ":" +
           two_digits(static_cast<std::uint64_t>(parts.tm_min));
  return std::string(kMonths[static_cast<std::size_t>(std::clamp(parts.tm_mon, 0, 11))]) +
         two_digits(static_cast<std::uint64_t>(parts.tm_mday));
}

// The command line with spaces between the arguments, or "[name]" for a process without one.
std::string command_text(const std::string& directory, std::string_view name) {
  auto text = read_file_at(AT_FDCWD, (directory + "/cmdline").c_str());
  if (!text || text->empty()) return "[" + std::string(name) + "]";
  while (!text->empty() && text->back() == '\0') text->pop_back();
  std::ranges::replace(*text, '\0', ' ');
  return *std::move(text);
}

std::uint32_t owner_of(const std::string& directory) {
  struct stat status{};
  return ::stat(directory.c_str(), &status) == 0 ? status.st_uid : 0;
}

std::optional<std::vector<std::string>> row_of(HostPid pid, const Clock& clock) {
  const std::string directory = "/proc/" + std::to_string(pid.value());
  const auto stat = read_file_at(AT_FDCWD, (directory + "/stat").c_str());
  if (!stat) return std::nullopt;
  const std::size_t name_begin = stat->find('(');
  const std::size_t name_end = stat->rfind(')');
  if (name_begin == std::string::npos || name_end == std::string::npos ||
      name_end + 2 > stat->size())
    return std::nullopt;
  const std::string_view name =
      std::string_view(*stat).substr(name_begin + 1, name_end - name_begin - 1);
  const std::vector<std::string_view> fields =
      split(std::string_view(*stat).substr(name_end + 2), ' ');
  // Numbered as proc(5) does, from 3 for the first behind the name.
  const auto field = [&](std::size_t number) -> std::uint64_t {
    return number - 3 < fields.size() ? parse_number<std::uint64_t>(fields[number - 3]).value_or(0)
                                      : 0;
  };
  const std::uint64_t used = (field(14) + field(15)) / clock.ticks;
  const std::int64_t start = clock.boot + static_cast<std::int64_t>(field(22) / clock.ticks);
  const auto alive = static_cast<std::uint64_t>(std::max<std::int64_t>(clock.now - start, 1));
  return std::vector<std::string>{runtime::user_name(owner_of(directory)),
                                  std::to_string(pid.value()),
                                  std::to_string(field(4)),
                                  std::to_string(std::min<std::uint64_t>(used * 100 / alive, 99)),
                                  start_text(start, clock.now),
                                  terminal_name(static_cast<unsigned>(field(7))),
                                  cpu_time(used),
                                  command_text(directory, name)};
}

}  // namespace

std::string terminal_name(unsigned device) {
  if (device == 0) return "?";
  const unsigned number = minor(device);
  switch (major(device)) {
    case 4:
      return number < 64 ? "tty" + std::to_string(number) : "ttyS" + std::to_string(number - 64);
    case 5: return "console";
    case 136:
    case 137:
    case 138:
    case 139:
    case 140:
    case 141:
    case 142:
    case 143: return "pts/" + std::to_string((major(device) - 136) * 256 + number);
    default: return "?";
  }
}

std::string cpu_time(std::uint64_t seconds) {
  const std::uint64_t days = seconds / 86400;
  std::string text = days > 0 ? std::to_string(days) + "-" : "";
  return text + two_digits(seconds / 3600 % 24) + ":" + two_digits(seconds / 60 % 60) + ":" +
         two_digits(seconds % 60);
}

std::string process_table(std::span<const HostPid> pids) {
  const Clock clock = Clock::read();
  std::vector<std::vector<std::string>> rows = {
      {"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}};
  for (const HostPid pid : pids)
    if (auto row = row_of(pid, clock)) rows.push_back(*std::move(row));
  return table(rows);
}

}  // namespace bulkhead::cli
