// The child's half: joining the groups, and reading back from the kernel that it is in them.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "isolation/cgroup/cgroup.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

// One hierarchy's line of /proc/PID/cgroup is a path at most; hosts have a dozen hierarchies.
using ProcText = std::array<char, 16 * 1024>;

// The next line of /proc/PID/cgroup without its number: "cpu,cpuacct:/path".
std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  const std::size_t colon = line.find(':');
  return colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
}

bool has_entry(std::string_view text, std::string_view entry) {
  while (!text.empty())
    if (next_line(text) == entry) return true;
  return false;
}

// The same where a path is shown from another root: "/../x/id" for "/parent/x/id". What follows the
// way up is an end of the whole path.
bool has_foreign_entry(std::string_view text, std::string_view entry) {
  const std::size_t colon = entry.find(":/");
  if (colon == std::string_view::npos) return false;
  const std::string_view controllers = entry.substr(0, colon + 1);
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (!line.starts_with(controllers)) continue;
    line.remove_prefix(controllers.size());
    while (line.starts_with("/..") && (line.size() == 3 || line[3] == '/')) line.remove_prefix(3);
    if (line == "/" || entry.ends_with(line)) return true;
  }
  return false;
}

enum class View { kOwn, kForeign };

SysResult<void> check(const CgroupLimits::Plan& plan, std::string_view text, View view) noexcept {
  const auto has = view == View::kOwn ? has_entry : has_foreign_entry;
  for (const CgroupGroup& group : plan.groups)
    if (!has(text, group.proc_entry) && !(group.may_stay && has(text, group.stay_entry)))
      return not_held("the process is not in its cgroup", group.directory.c_str());
  return {};
}

}  // namespace

SysResult<void> CgroupLimits::apply(const Plan& plan, ChildContext& child) noexcept {
  if (plan.groups.empty()) return {};
  const auto files = child.parent.wait_for_cgroups(child.parent.self);
  if (!files) return std::unexpected(files.error());
  std::size_t next = 0;
  // Back to back: the first write after idle pays for the kernel's grace period, the others do not.
  for (const CgroupGroup& group : plan.groups) {
    if (group.version == CgroupVersion::kV2 && child.cloned_into_cgroup) continue;
    if (next == files->size())
      return sys_fail_with(EBADF, "no membership file from the parent", group.membership.c_str());
    if (::write((*files)[next++], "0", 1) == 1) continue;
    if (errno == EBADF && group.may_stay) continue;
    return sys_fail("write", group.membership.c_str());
  }
  return {};
}

SysResult<void> CgroupLimits::verify(const Plan& plan, ChildContext& child) noexcept {
  if (plan.groups.empty()) return {};
  ProcText buffer;
  const auto text = read_small_file_at(child.proc, "self/cgroup", buffer);
  if (!text) return std::unexpected(text.error());
  return check(plan, *text, (child.joined & CLONE_NEWCGROUP) != 0 ? View::kForeign : View::kOwn);
}

SysResult<void> CgroupLimits::verify_in_parent(const Plan& plan, HostPid pid) noexcept {
  if (plan.groups.empty()) return {};
  std::array<char, 32> path;
  std::snprintf(path.data(), path.size(), "/proc/%d/cgroup", pid.value());
  ProcText buffer;
  const auto text = read_small_file_at(AT_FDCWD, path.data(), buffer);
  if (!text) return sys_fail_with(text.error().error, text.error().call, "/proc/PID/cgroup");
  return check(plan, *text, View::kOwn);
}

}  // namespace bulkhead::isolation
