#include "isolation/cgroup/parent.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "isolation/cgroup/device_program.h"
#include "isolation/cgroup/directory.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace bulkhead::isolation {
namespace {

using cgroup::value_of;

constexpr mode_t kMode = 0755;
constexpr int kAbandonMilliseconds = 5'000;

std::string with_slash(std::string_view directory, std::string_view name) {
  return std::string(directory).append("/").append(name);
}

// --- cpuset ----------------------------------------------------------------------------------

// A v1 group refuses its first process (ENOSPC) until it has CPUs and memory nodes. A new one has
// none, unless its parent says cgroup.clone_children.
Result<void> fill_cpuset(const std::string& directory, const char* file,
                         std::string_view mount_point) {
  const auto own = value_of(directory, file);
  if (!own || !own->empty() || directory.size() <= mount_point.size()) return {};
  const std::string parent = directory.substr(0, directory.rfind('/'));
  TRY(fill_cpuset(parent, file, mount_point));  // a parent that somebody made and left empty
  const auto inherited = value_of(parent, file);
  if (!inherited || inherited->empty()) return {};
  const CgroupSetting setting{file, *inherited, "the parent group's",
                              CgroupSetting::IfMissing::kRefuse};
  TRY(cgroup::write_setting(directory, setting));
  return {};
}

bool sets(const CgroupGroup& group, std::string_view file) {
  return std::any_of(group.settings.begin(), group.settings.end(),
                     [&](const CgroupSetting& setting) { return setting.file == file; });
}

enum class Made { kNew, kThere };

Result<void> fill_cpuset(const CgroupGroup& group, Made made) {
  // A new group with CPUs is a clone of its parent, and has memory nodes too.
  if (made == Made::kNew && !sets(group, "cpuset.cpus") && !sets(group, "cpuset.mems") &&
      !value_of(group.directory, "cpuset.cpus").value_or("").empty())
    return {};
  for (const char* file : {"cpuset.cpus", "cpuset.mems"})
    if (!sets(group, file)) TRY(fill_cpuset(group.directory, file, group.mount_point));
  return {};
}

// --- cgroup v2 controllers -------------------------------------------------------------------

Result<void> enable_controllers(const CgroupGroup& group) {
  std::vector<std::string> wanted = group.needed_controllers;
  wanted.insert(wanted.end(), group.wanted_controllers.begin(), group.wanted_controllers.end());
  if (wanted.empty()) return {};
  const std::string there = value_of(group.directory, "cgroup.controllers").value_or("");
  const auto all_there = [&](const std::vector<std::string>& controllers) {
    return std::all_of(controllers.begin(), controllers.end(), [&](const std::string& controller) {
      return cgroup::has_word(there, controller);
    });
  };
  if (all_there(wanted)) return {};
  const auto enabled = cgroup::enable_controllers(group.mount_point, group.directory, wanted);
  // What serves accounting alone is not worth a refusal.
  if (enabled || all_there(group.needed_controllers)) return {};
  auto needed =
      cgroup::enable_controllers(group.mount_point, group.directory, group.needed_controllers);
  if (needed) return {};
  return std::unexpected(std::move(needed).error().within(
      group.settings.empty() ? "cgroup v2" : group.settings.front().why));
}

// --- ownership -------------------------------------------------------------------------------

Result<void> delegate(const std::string& directory, HostUid owner) {
  const auto own = [&](const std::string& path, bool may_be_missing) -> Result<void> {
    if (::chown(path.c_str(), owner.value(), static_cast<gid_t>(-1)) == 0) return {};
    if (may_be_missing && errno == ENOENT) return {};
    return std::unexpected(Error(SysError{"chown", errno, path.c_str()}));
  };
  TRY(own(directory, false));
  const std::string listed = value_of("/sys/kernel/cgroup", "delegate")
                                 .value_or("cgroup.procs\ncgroup.subtree_control\ncgroup.threads");
  std::string_view files = listed;
  while (!files.empty()) {
    const std::string_view file = next_field(files, '\n');
    // Names of files of this very group, whatever the kernel's list says.
    if (!file.empty() && file.find('/') == std::string_view::npos)
      TRY(own(with_slash(directory, file), true));
  }
  return {};
}

// --- making ----------------------------------------------------------------------------------

// mkdir with the missing groups above; what it makes is put into `made`, outermost first.
SysResult<Made> make_directory(const CgroupGroup& group, std::vector<std::string>& made) {
  // Somebody may remove an empty parent between two of our calls.
  for (int attempt = 0;; ++attempt) {
    if (::mkdir(group.directory.c_str(), kMode) == 0) {
      made.push_back(group.directory);
      return Made::kNew;
    }
    if (errno == EEXIST) return Made::kThere;
    if (errno != ENOENT || attempt == 16) return sys_fail("mkdir", group.directory.c_str());
    for (std::size_t end = group.directory.find('/', group.mount_point.size() + 1);
         end != std::string::npos; end = group.directory.find('/', end + 1)) {
      const std::string parent = group.directory.substr(0, end);
      if (::mkdir(parent.c_str(), kMode) != 0) {
        if (errno == EEXIST) continue;
        if (errno == ENOENT && end > group.mount_point.size() + 1) break;
        return sys_fail("mkdir", group.directory.c_str());
      }
      made.push_back(parent);
      if (!group.has_controller("cpuset")) continue;
      for (const char* file : {"cpuset.cpus", "cpuset.mems"})
        if (!fill_cpuset(parent, file, group.mount_point))
          return sys_fail_with(ENOSPC, "mkdir", group.directory.c_str());
      // The groups that follow beneath it then start filled, which saves each of them four writes.
      (void)write_file_at(AT_FDCWD, with_slash(parent, "cgroup.clone_children").c_str(), "1");
    }
  }
}

// A group that is there already is taken when it is empty and its processes could run.
Result<void> check_existing(const CgroupGroup& group, bool of_systemd) {
  TRY_ASSIGN(const std::vector<HostPid> processes, cgroup::processes_in(group.directory));
  // systemd has put the child in, and refuses a scope that is there already.
  if (!processes.empty() && !of_systemd)
    return fail(ErrorKind::kExists,
                "container's cgroup is not empty: " + std::to_string(processes.size()) +
                    " process(es) found in " + group.directory,
                "choose another /linux/cgroupsPath, or end those processes");
  const bool v2 = group.version == CgroupVersion::kV2;
  const std::string state = value_of(group.directory, v2 ? "cgroup.freeze" : "freezer.state")
                                .value_or(v2 ? "0" : "THAWED");
  if (state != "0" && state != "THAWED")
    return fail(ErrorKind::kState, "container's cgroup unexpectedly frozen: " + group.directory,
                "thaw it, or choose another /linux/cgroupsPath");
  return {};
}

Error cannot_make(const CgroupGroup& group, const SysError& error) {
  Error result = Error(error).within("making the container's " + group.name() + " group");
  if (!group.settings.empty())
    result = std::move(result).within(group.settings.front().why + " (" +
                                      group.settings.front().file + ")");
  if (error.error == EROFS)
    return std::move(result).with_hint(group.mount_point +
                                       " is mounted read-only: mount it for writing");
  if (error.error == EACCES || error.error == EPERM)
    return std::move(result).with_hint(
        group.version == CgroupVersion::kV2
            ? "have a cgroup v2 group delegated to this user (with systemd: Delegate=yes) and "
              "start from "
              "within it, leave the limit out, or start as root"
            : "cgroup v1 groups are made by root alone: start as root, or leave the limit out");
  return result;
}

bool is_denied(int error) { return error == EACCES || error == EPERM || error == EROFS; }

Result<void> equip(const CgroupLimits::Plan& plan, const CgroupGroup& group, Made made,
                   int directory) {
  if (group.version == CgroupVersion::kV2) TRY(enable_controllers(group));
  if (group.has_controller("cpuset")) TRY(fill_cpuset(group, made));
  TRY(cgroup::write_settings(group.directory, group.settings));
  if (group.version == CgroupVersion::kV1) return {};
  if (group.device_program) {
    const auto attached =
        cgroup::attach_device_program(directory, cgroup::device_program(*group.device_program));
    if (!attached)
      return std::unexpected(
          Error(attached.error())
              .within("/linux/resources/devices")
              .with_hint("needs CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN), and a "
                         "kernel with CONFIG_CGROUP_BPF"));
  }
  if (plan.delegate_to) TRY(delegate(group.directory, *plan.delegate_to));
  return {};
}

}  // namespace

std::vector<std::string> cgroup_record(const CgroupLimits::Plan& plan) {
  std::vector<std::string> record;
  for (const CgroupGroup& group : plan.groups)
    record.push_back(group.controllers + ":" + group.directory);
  return record;
}

bool CgroupSet::Group::has_controller(std::string_view controller) const {
  std::string_view rest = controllers;
  while (!rest.empty())
    if (next_field(rest, ',') == controller) return true;
  return false;
}

const CgroupSet::Group* CgroupSet::group_with(std::string_view controller) const {
  for (const Group& group : groups_)
    if (group.version == CgroupVersion::kV1 && group.has_controller(controller)) return &group;
  return nullptr;
}

const CgroupSet::Group* CgroupSet::unified() const {
  return !groups_.empty() && groups_.front().version == CgroupVersion::kV2 ? &groups_.front()
                                                                           : nullptr;
}

// The v2 directory, locked: of two creates that want the same group one fails, also in the moment
// before the other's process has joined.
Result<void> CgroupSet::hold(const CgroupGroup& group) {
  TRY_ASSIGN(unified_, open_at(AT_FDCWD, group.directory.c_str(), O_RDONLY | O_DIRECTORY));
  const auto locked = try_lock_exclusive(unified_.get());
  if (locked) return {};
  if (locked.error().error != EWOULDBLOCK)
    return std::unexpected(Error(locked.error()).within(group.directory));
  return fail(ErrorKind::kExists,
              "another container is just being created in the cgroup " + group.directory,
              "choose another /linux/cgroupsPath");
}

Result<void> CgroupSet::make(const CgroupLimits::Plan& plan, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    const CgroupGroup& group = plan.groups[i];
    const auto made = make_directory(group, made_);
    if (!made && group.may_stay && is_denied(made.error().error)) {
      left_out_.push_back(group.name());
      // Writing to it fails with EBADF: the child reads that as "stay where you are".
      TRY_ASSIGN(Fd nowhere, open_at(AT_FDCWD, group.mount_point.c_str(), O_PATH | O_DIRECTORY));
      membership_.push_back(std::move(nowhere));
      continue;
    }
    if (!made) return std::unexpected(cannot_make(group, made.error()));
    if (group.version == CgroupVersion::kV2) TRY(hold(group));
    if (*made == Made::kThere) TRY(check_existing(group, plan.unit.has_value()));
    groups_.push_back({group.version, group.controllers, group.directory});
    TRY(equip(plan, group, *made, unified_.get()));
    if (group.version == CgroupVersion::kV2) continue;  // mostly joined by clone3: see membership()
    TRY_ASSIGN(Fd membership, open_at(AT_FDCWD, group.membership.c_str(), O_WRONLY));
    membership_.push_back(std::move(membership));
  }
  return {};
}

void CgroupSet::abandon() noexcept {
  cgroup::Patience patience(kAbandonMilliseconds);  // for a child that is dead, but not quite gone
  for (auto directory = made_.rbegin(); directory != made_.rend(); ++directory) {
    const bool is_group = std::any_of(groups_.begin(), groups_.end(), [&](const Group& group) {
      return group.directory == *directory;
    });
    if (is_group)
      while (!cgroup::remove_tree(*directory) && patience.wait()) continue;
    else
      ::rmdir(directory->c_str());  // a parent: others may have put their groups there meanwhile
  }
  *this = CgroupSet();
}

namespace {

// How many groups are made before the child: the v2 one, if it is not systemd's to make.
std::size_t early_groups(const CgroupLimits::Plan& plan) {
  return !plan.unit && !plan.groups.empty() && plan.groups.front().version == CgroupVersion::kV2
             ? 1
             : 0;
}

}  // namespace

Result<CgroupSet> CgroupSet::prepare(const CgroupLimits::Plan& plan) {
  CgroupSet set;
  if (auto made = set.make(plan, 0, early_groups(plan)); !made) {
    set.abandon();
    return std::unexpected(std::move(made).error());
  }
  return set;
}

Result<void> CgroupSet::complete(const CgroupLimits::Plan& plan) {
  return make(plan, early_groups(plan), plan.groups.size());
}

Result<CgroupSet> CgroupSet::create(const CgroupLimits::Plan& plan) {
  TRY_ASSIGN(CgroupSet set, prepare(plan));
  if (auto made = set.complete(plan); !made) {
    set.abandon();
    return std::unexpected(std::move(made).error());
  }
  return set;
}

Result<std::vector<int>> CgroupSet::membership(bool cloned_into_unified) {
  std::vector<int> files;
  if (unified_ && !cloned_into_unified) {
    TRY_ASSIGN(unified_membership_, open_at(unified_.get(), "cgroup.procs", O_WRONLY));
    files.push_back(unified_membership_.get());
  }
  for (const Fd& file : membership_) files.push_back(file.get());
  return files;
}

Result<CgroupSet> CgroupSet::open(std::span<const std::string> record) {
  TRY_ASSIGN(CgroupSet set, name(record));
  std::erase_if(set.groups_,
                [](const Group& group) { return ::access(group.directory.c_str(), F_OK) != 0; });
  return set;
}

Result<CgroupSet> CgroupSet::name(std::span<const std::string> record) {
  CgroupSet set;
  for (const std::string& entry : record) {
    // Controllers may hold a colon ("name=a:b"), directories before their first '/' may not.
    const std::size_t slash = entry.find(":/");
    if (slash == std::string::npos || entry.find("/../") != std::string::npos)
      return fail(ErrorKind::kInternal,
                  "the state's record of a cgroup is damaged: " + quoted(entry));
    Group group;
    group.controllers = entry.substr(0, slash);
    group.directory = entry.substr(slash + 1);
    group.version = group.controllers.empty() ? CgroupVersion::kV2 : CgroupVersion::kV1;
    set.groups_.push_back(std::move(group));
  }
  return set;
}

}  // namespace bulkhead::isolation
