#include "isolation/lsm/lsm_label.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "isolation/lsm/mount_label.h"
#include "sys/file.h"
#include "sys/uapi.h"

namespace bulkhead::isolation {
namespace {

constexpr std::string_view kUnconfined = "unconfined";
constexpr const char* kApparmorExec = "self/attr/apparmor/exec";
constexpr const char* kExec = "self/attr/exec";

bool printable(std::string_view text) {
  for (const char c : text)
    if (c <= ' ' || c == 0x7F) return false;
  return true;
}

// Only what belongs to this procfs itself: neither a link that leads out of it nor something
// mounted over the file (CVE-2025-52881).
SysResult<Fd> open_attribute(const ChildContext& child, const char* path, int flags) noexcept {
  return open_at2(child.proc, path, flags,
                  RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
}

SysResult<Fd> open_apparmor(const ChildContext& child, int flags) noexcept {
  auto opened = open_attribute(child, kApparmorExec, flags);
  if (!opened && opened.error().error == ENOENT) opened = open_attribute(child, kExec, flags);
  return opened;
}

SysResult<void> write_once(const Fd& file, std::string_view text, const char* what,
                           const char* subject) noexcept {
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written < 0) return sys_fail(what, subject);
  if (static_cast<std::size_t>(written) != text.size()) return sys_fail_with(EIO, what, subject);
  return {};
}

SysResult<void> apply_apparmor(const LsmLabel::Plan& plan, const ChildContext& child) noexcept {
  const auto file = open_apparmor(child, O_WRONLY);
  if (!file) return std::unexpected(file.error());
  auto written = write_once(*file, plan.apparmor_command, "write to /proc/self/attr/apparmor/exec",
                            plan.apparmor_profile.c_str());
  if (!written && written.error().error == ENOENT)
    return sys_fail_with(ENOENT, "the AppArmor profile is not loaded (see apparmor_parser(8)):",
                         plan.apparmor_profile.c_str());
  return written;
}

SysResult<void> apply_selinux(const LsmLabel::Plan& plan, const ChildContext& child) noexcept {
  const auto file = open_attribute(child, kExec, O_WRONLY);
  if (!file) return std::unexpected(file.error());
  return write_once(*file, plan.selinux_label, "write to /proc/self/attr/exec",
                    plan.selinux_label.c_str());
}

// What execve will give: the first word, because AppArmor adds its mode ("name (enforce)").
SysResult<void> expect(const SysResult<Fd>& file, std::string_view label,
                       const char* what) noexcept {
  if (!file) return std::unexpected(file.error());
  std::array<char, 4096> buffer;
  const auto size = read_up_to(file->get(), buffer.data(), buffer.size());
  // AppArmor answers EINVAL where nothing has been set.
  if (!size && size.error().error == EINVAL) return not_held(what);
  if (!size) return std::unexpected(size.error());
  std::string_view text(buffer.data(), *size);
  text = text.substr(0, text.find('\0'));
  if (!text.starts_with(label)) return not_held(what);
  text.remove_prefix(label.size());
  if (!text.empty() && text.front() != '\n' && text.front() != ' ') return not_held(what);
  return {};
}

// Refused, or left out when it is only a default of bulkhead's.
Result<LsmLabel::Plan> not_here(const Request& request, const std::string& module,
                                const std::string& field, const std::string& value) {
  const std::string what = module + " is not enabled on this host";
  if (!request.defaults.lsm_profile)
    return fail(ErrorKind::kUnsupported,
                field + ": " + quoted(value) + " was asked for, and " + what,
                "take it out of the configuration, or enable " + module);
  LsmLabel::Plan plan;
  plan.standing = Standing::kLeftOut;
  plan.reason = what;
  return plan;
}

}  // namespace

Result<void> check_selinux_label(std::string_view label, std::string_view field) {
  if (label.size() <= 4096 && printable(label) &&
      label.find_first_of("\"'\\") == std::string_view::npos)
    return {};
  return fail(ErrorKind::kInvalid,
              std::string(field) + ": " + quoted(label) + " is not an SELinux label",
              "a label looks like system_u:system_r:container_t:s0:c1,c2");
}

std::string context_option(std::string_view label) {
  return "context=\"" + std::string(label) + "\"";
}

Result<LsmLabel::Plan> LsmLabel::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  plan.reason = "no profile or label was asked for";
  const auto& process = request.spec.process;
  if (!process) return plan;
  const std::string profile = process->apparmor_profile.value_or("");
  const std::string label = process->selinux_label.value_or("");
  if (!profile.empty()) {
    if (!printable(profile) || profile.size() > 4000)
      return fail(ErrorKind::kInvalid,
                  "/process/apparmorProfile: " + quoted(profile) + " is not the name of a profile");
    if (host.apparmor) {
      plan.apparmor_profile = profile;
      plan.apparmor_command = "exec " + profile;
      // In both modes the kernel takes the profile on, and lets everything pass.
      if (host.apparmor_mode == "complain" || host.apparmor_mode == "unconfined")
        plan.warning = "the AppArmor profile " + quoted(profile) + " is loaded in " +
                       host.apparmor_mode + " mode and denies nothing";
    } else if (profile != kUnconfined) {
      return not_here(request, "AppArmor", "/process/apparmorProfile", profile);
    } else {
      plan.reason = "AppArmor is not enabled on this host, and \"unconfined\" asks for nothing";
    }
  }
  if (!label.empty()) {
    TRY(check_selinux_label(label, "/process/selinuxLabel"));
    if (!host.selinux) return not_here(request, "SELinux", "/process/selinuxLabel", label);
    plan.selinux_label = label;
  }
  if (!plan.apparmor_profile.empty() || !plan.selinux_label.empty()) {
    plan.standing = Standing::kApplied;
    plan.reason.clear();
  }
  return plan;
}

Explanation LsmLabel::explain(const Plan& plan) {
  Explanation explanation{plan.standing, plan.reason, {}};
  if (!plan.enabled()) return explanation;
  if (plan.apparmor_profile == kUnconfined && plan.selinux_label.empty()) {
    explanation.standing = Standing::kOpened;
    explanation.reason = "the AppArmor profile \"unconfined\" was asked for";
  }
  if (!plan.warning.empty() && plan.selinux_label.empty()) {
    explanation.standing = Standing::kOpened;
    explanation.reason = plan.warning;
  }
  if (!plan.apparmor_profile.empty())
    explanation.facts.push_back({"AppArmor profile", quoted(plan.apparmor_profile),
                                 "taken on when the program is executed"});
  if (!plan.selinux_label.empty())
    explanation.facts.push_back(
        {"SELinux label", quoted(plan.selinux_label), "taken on when the program is executed"});
  return explanation;
}

SysResult<void> LsmLabel::apply(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.enabled()) return {};
  if (!plan.apparmor_profile.empty()) TRY(apply_apparmor(plan, child));
  if (!plan.selinux_label.empty()) TRY(apply_selinux(plan, child));
  return {};
}

SysResult<void> LsmLabel::verify(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.enabled()) return {};
  if (!plan.apparmor_profile.empty())
    TRY(expect(open_apparmor(child, O_RDONLY), plan.apparmor_profile,
               "/proc/self/attr/apparmor/exec shows another profile"));
  if (!plan.selinux_label.empty())
    TRY(expect(open_attribute(child, kExec, O_RDONLY), plan.selinux_label,
               "/proc/self/attr/exec shows another label"));
  return {};
}

}  // namespace bulkhead::isolation
