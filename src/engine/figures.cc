#include "engine/figures.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"
#include "engine/prepare.h"
#include "runtime/control.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostCommandLine = 64 * 1024;

std::uint64_t field(const std::vector<std::string_view>& fields, std::size_t number) {
  return number < fields.size() ? parse_number<std::uint64_t>(fields[number]).value_or(0) : 0;
}

std::string command_of(const std::string& directory, std::string_view name) {
  const auto line = read_file_at(AT_FDCWD, (directory + "/cmdline").c_str(), kMostCommandLine);
  if (!line || line->empty()) return "[" + std::string(name) + "]";
  std::string text = *line;
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::ranges::replace(text, '\0', ' ');
  return text;
}

// As the kernel numbers them: 136 is the first major number of pseudo terminals.
std::string terminal_of(std::uint64_t device) {
  if (device == 0) return "?";
  const std::uint64_t major = device >> 8 & 0xFFF;
  const std::uint64_t minor = (device & 0xFF) | (device >> 12 & 0xFFF00);
  if (major >= 136 && major <= 143) return "pts/" + std::to_string((major - 136) * 256 + minor);
  return "?";
}

std::optional<ProcessLine> look_at_process(HostPid pid, std::int64_t boot, std::int64_t ticks) {
  const std::string directory = "/proc/" + std::to_string(pid.value());
  const auto stat = read_file_at(AT_FDCWD, (directory + "/stat").c_str());
  struct stat status{};
  if (!stat || ::stat(directory.c_str(), &status) != 0) return std::nullopt;
  const std::size_t open = stat->find('(');
  const std::size_t close = stat->rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= stat->size())
    return std::nullopt;
  // From the state (field 3 of proc(5)) on.
  const auto fields = split(std::string_view(*stat).substr(close + 2), ' ');
  ProcessLine line;
  line.user = std::to_string(status.st_uid);
  line.pid = pid.value();
  line.parent = static_cast<std::int32_t>(field(fields, 1));
  line.terminal = terminal_of(field(fields, 4));
  const auto per_second = static_cast<std::uint64_t>(ticks);
  line.cpu_seconds = (field(fields, 11) + field(fields, 12)) / per_second;
  line.started = boot + static_cast<std::int64_t>(field(fields, 19) / per_second);
  const std::int64_t age = std::max<std::int64_t>(std::time(nullptr) - line.started, 1);
  line.cpu_percent =
      static_cast<std::uint32_t>(line.cpu_seconds * 100 / static_cast<std::uint64_t>(age));
  line.command = command_of(directory, stat->substr(open + 1, close - open - 1));
  return line;
}

}  // namespace

Result<Figures> figures_of(const StoreOptions& options, const ListedContainer& container) {
  TRY_ASSIGN(const isolation::CgroupSet groups,
             runtime::container_groups(state_root_of(options), container.id));
  const isolation::CgroupStats stats = groups.stats();
  Figures figures;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  figures.when = now.tv_sec * 1'000'000'000 + now.tv_nsec;
  figures.cpu_ns = stats.cpu.usage_ns;
  figures.memory = stats.memory.memory.usage;
  const auto inactive = stats.memory.raw.find(
      stats.memory.raw.contains("total_inactive_file") ? "total_inactive_file" : "inactive_file");
  if (figures.memory && inactive != stats.memory.raw.end())
    *figures.memory -= std::min(*figures.memory, inactive->second);
  figures.memory_limit = stats.memory.memory.limit;
  figures.processes = stats.pids.current;
  for (const isolation::BlockIoEntry& entry : stats.block_io.service_bytes) {
    if (entry.operation == "Read" || entry.operation == "read") figures.read_bytes += entry.value;
    if (entry.operation == "Write" || entry.operation == "write")
      figures.written_bytes += entry.value;
  }
  return figures;
}

Result<std::vector<ProcessLine>> processes_of(const StoreOptions& options,
                                              const ListedContainer& container) {
  if (!runs(container.status))
    return fail(ErrorKind::kState, "container " + quoted(container.name) + " is not running");
  TRY_ASSIGN(const auto pids, runtime::container_processes(state_root_of(options), container.id));
  timespec uptime{};
  ::clock_gettime(CLOCK_BOOTTIME, &uptime);
  const std::int64_t boot = std::time(nullptr) - uptime.tv_sec;
  const std::int64_t ticks = std::max(::sysconf(_SC_CLK_TCK), 1L);
  std::vector<ProcessLine> lines;
  for (const HostPid pid : pids)
    if (auto line = look_at_process(pid, boot, ticks)) lines.push_back(*std::move(line));
  std::ranges::sort(lines, {}, &ProcessLine::pid);
  return lines;
}

}  // namespace bulkhead::engine
