#include "isolation/identity/identity.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "isolation/namespace.h"
#include "isolation/user/id_map.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr std::uint32_t kNoId = 0xFFFFFFFF;  // "leave as it is" to setresuid and its kin
constexpr std::size_t kMostGroups = 65536;   // NGROUPS_MAX

Result<void> check_mapped(const std::vector<oci::IdMapping>& map, std::uint32_t id,
                          const std::string& where, std::string_view list) {
  if (id == kNoId)
    return fail(ErrorKind::kInvalid,
                where + ": 4294967295 is no id: the kernel takes it for \"none\"");
  if (map.empty() || maps(map, id)) return {};
  return fail(ErrorKind::kInvalid,
              where + ": " + std::to_string(id) + " is not in the container's user namespace",
              "map it in /linux/" + std::string(list) + ", or choose an id that is mapped");
}

}  // namespace

Result<Identity::Plan> Identity::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  plan.sets_groups = may_set_groups(request, host);
  if (!request.spec.process) return plan;
  const oci::User& user = request.spec.process->user;
  const auto& linux_part = request.spec.linux_;
  TRY(check_mapped(linux_part.uid_mappings, user.uid.value(), "/process/user/uid", "uidMappings"));
  TRY(check_mapped(linux_part.gid_mappings, user.gid.value(), "/process/user/gid", "gidMappings"));
  plan.uid = user.uid.value();
  plan.gid = user.gid.value();
  plan.uid_text = "uid " + std::to_string(plan.uid);
  plan.gid_text = "gid " + std::to_string(plan.gid);
  for (const ContainerGid gid : user.additional_gids) {
    TRY(check_mapped(linux_part.gid_mappings, gid.value(), "/process/user/additionalGids",
                     "gidMappings"));
    plan.groups.push_back(gid.value());
  }
  std::ranges::sort(plan.groups);
  plan.groups.erase(std::ranges::unique(plan.groups).begin(), plan.groups.end());
  if (plan.groups.size() > kMostGroups)
    return fail(ErrorKind::kInvalid, "/process/user/additionalGids: more than 65536 groups");
  if (!plan.groups.empty() && !plan.sets_groups)
    return fail(ErrorKind::kPermission,
                "/process/user/additionalGids: an unprivileged user may not set groups in a user "
                "namespace that maps one id",
                "leave them out, or get a range in /etc/subgid and install newgidmap");
  if (user.umask) {
    if (*user.umask > 0777)
      return fail(ErrorKind::kInvalid, "/process/user/umask: " + std::to_string(*user.umask) +
                                           " has bits above 0777 (it is a decimal number here)");
    plan.umask = static_cast<mode_t>(*user.umask);
  }
  return plan;
}

Explanation Identity::explain(const Plan& plan) {
  Explanation explanation;
  std::string groups;
  for (const gid_t gid : plan.groups)
    groups.append(groups.empty() ? "" : " ").append(std::to_string(gid));
  if (groups.empty()) groups = plan.sets_groups ? "none" : "the caller's, unmapped";
  std::string umask = "0000";
  for (std::size_t i = 0; i < 3; ++i)
    umask[3 - i] = static_cast<char>('0' + (plan.umask >> (3 * i) & 7U));
  explanation.facts = {{"uid", std::to_string(plan.uid), ""},
                       {"gid", std::to_string(plan.gid), ""},
                       {"supplementary groups", groups,
                        plan.sets_groups ? "" : "this user namespace forbids setgroups(2)"},
                       {"umask", umask, ""}};
  return explanation;
}

SysResult<void> Identity::apply(const Plan& plan, ChildContext&) noexcept {
  TRY(set_umask(plan.umask));
  if (plan.sets_groups && ::syscall(SYS_setgroups, plan.groups.size(), plan.groups.data()) != 0)
    return sys_fail("setgroups");
  // Raw calls: the C library's would signal the other threads, of which there are none.
  if (::syscall(SYS_setresgid, plan.gid, plan.gid, plan.gid) != 0)
    return sys_fail(
        errno == EINVAL ? "setresgid (is it mapped in the user namespace?)" : "setresgid",
        plan.gid_text.c_str());
  if (plan.uid != 0 && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
    return sys_fail("prctl(PR_SET_KEEPCAPS)");
  if (::syscall(SYS_setresuid, plan.uid, plan.uid, plan.uid) != 0)
    return sys_fail(
        errno == EINVAL ? "setresuid (is it mapped in the user namespace?)" : "setresuid",
        plan.uid_text.c_str());
  return {};
}

SysResult<void> Identity::verify(const Plan& plan, ChildContext&) noexcept {
  uid_t uid[3];
  gid_t gid[3];
  if (::getresuid(&uid[0], &uid[1], &uid[2]) != 0) return sys_fail("getresuid");
  if (::getresgid(&gid[0], &gid[1], &gid[2]) != 0) return sys_fail("getresgid");
  for (int i = 0; i < 3; ++i) {
    if (uid[i] != plan.uid) return not_held("a user id is another", plan.uid_text.c_str());
    if (gid[i] != plan.gid) return not_held("a group id is another", plan.gid_text.c_str());
  }
  // The only way to read it by a system call of its own is to set it: to what it should be.
  TRY_ASSIGN(const mode_t mask, set_umask(plan.umask));
  if (mask != plan.umask) return not_held("the umask is another");
  if (!plan.sets_groups) return {};
  std::array<gid_t, 64> now;
  const int count = ::getgroups(static_cast<int>(now.size()), now.data());
  if (plan.groups.size() > now.size()) {
    // EINVAL: there are more than fit. How many is then the answer.
    if (::getgroups(0, nullptr) != static_cast<int>(plan.groups.size()))
      return not_held("the number of supplementary groups is another");
    return {};
  }
  if (count != static_cast<int>(plan.groups.size()) ||
      !std::equal(plan.groups.begin(), plan.groups.end(), now.begin()))
    return not_held("the supplementary groups are others");
  return {};
}

}  // namespace bulkhead::isolation
