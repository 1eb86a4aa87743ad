#include "engine/oom.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostRecord = 8192;
constexpr std::uint64_t kMostEvents = 64;  // at a time: a storm needs no more to be seen

std::string_view between(std::string_view text, std::string_view key, std::size_t end) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos || at + key.size() > end) return {};
  return text.substr(at + key.size(), end - at - key.size());
}

// Whether a component of the path is the container's group.
bool is_in(std::string_view group, std::string_view container) {
  while (!group.empty())
    if (next_field(group, '/') == container) return true;
  return false;
}

// All kills in the container's groups that the log still has, the last one last.
std::vector<OomVictim> read_victims(std::string_view container) {
  std::vector<OomVictim> victims;
  const auto log = open_at(AT_FDCWD, "/dev/kmsg", O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!log) return victims;
  std::array<char, kMostRecord> record;
  for (;;) {
    // One record for each call.
    const ssize_t size = ::read(log->get(), record.data(), record.size());
    // Overwritten while we read: the next one is there.
    if (size < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (size <= 0) return victims;
    std::string_view text(record.data(), static_cast<std::size_t>(size));
    (void)next_field(text, ';');
    if (auto victim = read_oom_line(next_field(text, '\n'), container))
      victims.push_back(*std::move(victim));
  }
}

}  // namespace

// oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/a,task_memcg=/a/b,task=NAME,pid=1,uid=0 (Linux 5.0).
// A process may call itself anything: what stands behind its name is looked for from the end.
std::optional<OomVictim> read_oom_line(std::string_view line, std::string_view container) {
  if (!line.starts_with("oom-kill:") || container.empty()) return std::nullopt;
  const std::size_t uid = line.rfind(",uid=");
  if (uid == std::string_view::npos) return std::nullopt;
  const std::size_t pid = line.substr(0, uid).rfind(",pid=");
  if (pid == std::string_view::npos) return std::nullopt;
  const std::size_t group = line.find(",task_memcg=");
  const std::size_t task = line.find(",task=", group == std::string_view::npos ? 0 : group);
  if (group == std::string_view::npos || task == std::string_view::npos || task > pid)
    return std::nullopt;
  const std::string_view where = line.substr(group + 12, task - group - 12);
  if (!is_in(where, container)) return std::nullopt;
  const std::string_view number = line.substr(pid + 5, uid - pid - 5);
  if (!parse_number<std::uint32_t>(number)) return std::nullopt;
  OomVictim victim;
  victim.process = line.substr(task + 6, pid - task - 6);
  victim.pid = number;
  victim.group = between(line, ",oom_memcg=", group);
  // Memory of the whole host was short, and not a limit's.
  if (victim.group.empty())
    victim.group = line.starts_with("oom-kill:constraint=CONSTRAINT_MEMCG") ? std::string(where)
                                                                            : std::string("/");
  return victim;
}

std::string last_victim(const std::string& container) {
  const std::vector<OomVictim> victims = read_victims(container);
  if (victims.empty()) return {};
  return victims.back().process + " (pid " + victims.back().pid + ")";
}

void record_oom(const StoreOptions& options, const EventSubject& subject, std::uint64_t kills) {
  if (kills == 0) return;
  const std::vector<OomVictim> victims = read_victims(subject.id);
  const std::uint64_t told = std::min(kills, kMostEvents);
  for (std::uint64_t i = 0; i < told; ++i) {
    EventAttributes attributes;
    // The last ones are the new ones.
    if (const std::uint64_t left = told - i; left <= victims.size()) {
      const OomVictim& victim = victims[victims.size() - left];
      attributes = {{"process", victim.process}, {"pid", victim.pid}, {"cgroup", victim.group}};
    }
    record_event(options, subject, "oom", std::move(attributes));
  }
}

}  // namespace bulkhead::engine
