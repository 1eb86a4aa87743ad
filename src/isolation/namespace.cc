#include "isolation/namespace.h"

#include <sched.h>
#include <sys/stat.h>

#include <array>

#include "base/text.h"
#include "sys/file.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace bulkhead::isolation {
namespace {

struct Kind {
  std::string_view name;  // of the runtime specification
  const char* link;       // beneath /proc/PID/ns
  std::uint64_t flag;
  const char* unshare_call;  // static texts for errors
  const char* setns_call;
};

// By oci::NamespaceType.
constexpr std::array<Kind, oci::kNamespaceTypeCount> kKinds{{
    {"pid", "pid", CLONE_NEWPID, "unshare(CLONE_NEWPID)", "setns(CLONE_NEWPID)"},
    {"network", "net", CLONE_NEWNET, "unshare(CLONE_NEWNET)", "setns(CLONE_NEWNET)"},
    {"mount", "mnt", CLONE_NEWNS, "unshare(CLONE_NEWNS)", "setns(CLONE_NEWNS)"},
    {"ipc", "ipc", CLONE_NEWIPC, "unshare(CLONE_NEWIPC)", "setns(CLONE_NEWIPC)"},
    {"uts", "uts", CLONE_NEWUTS, "unshare(CLONE_NEWUTS)", "setns(CLONE_NEWUTS)"},
    {"user", "user", CLONE_NEWUSER, "unshare(CLONE_NEWUSER)", "setns(CLONE_NEWUSER)"},
    {"cgroup", "cgroup", CLONE_NEWCGROUP, "unshare(CLONE_NEWCGROUP)", "setns(CLONE_NEWCGROUP)"},
    {"time", "time", CLONE_NEWTIME, "unshare(CLONE_NEWTIME)", "setns(CLONE_NEWTIME)"},
}};

const Kind& kind_of(oci::NamespaceType type) noexcept {
  return kKinds[static_cast<std::size_t>(type)];
}

}  // namespace

std::string_view namespace_name(oci::NamespaceType type) { return kind_of(type).name; }
std::uint64_t namespace_flag(oci::NamespaceType type) noexcept { return kind_of(type).flag; }

bool lists_namespace(const Request& request, oci::NamespaceType type) {
  for (const oci::Namespace& entry : request.spec.linux_.namespaces)
    if (entry.type == type) return true;
  return false;
}

Result<NamespacePlan> plan_namespace(oci::NamespaceType type, const Request& request,
                                     const HostFacts& host) {
  NamespacePlan plan;
  plan.type = type;
  plan.host = host.namespace_number(type);
  std::size_t index = 0;
  for (const oci::Namespace& entry : request.spec.linux_.namespaces) {
    const std::string where = "/linux/namespaces/" + std::to_string(index++);
    if (entry.type != type) continue;
    if (plan.wish != NamespaceWish::kShared)
      return fail(ErrorKind::kInvalid,
                  where + ": a second " + std::string(namespace_name(type)) + " namespace",
                  "list each type once");
    if (!entry.path.empty() && entry.path.front() != '/')
      return fail(ErrorKind::kInvalid, where + "/path: " + quoted(entry.path) + " is not absolute",
                  "give a path such as /proc/PID/ns/" + std::string(kind_of(type).link));
    if (entry.path.find('\0') != std::string::npos)
      return fail(ErrorKind::kInvalid,
                  where + "/path: " + quoted(entry.path) + " holds a NUL byte");
    plan.wish = entry.path.empty() ? NamespaceWish::kNew : NamespaceWish::kPath;
    plan.path = entry.path;
  }
  if (plan.own() && plan.host == 0)
    return fail(ErrorKind::kUnsupported,
                "this kernel has no " + std::string(namespace_name(type)) + " namespaces",
                "take it out of /linux/namespaces, or use a kernel that is built with them");
  if (plan.own() && request.joining) plan.wish = NamespaceWish::kInside;
  return plan;
}

Explanation explain_namespace(const NamespacePlan& plan, std::string_view shares) {
  Explanation explanation;
  switch (plan.wish) {
    case NamespaceWish::kShared:
      explanation.standing = Standing::kOpened;
      explanation.reason = "the spec lists no " + std::string(namespace_name(plan.type)) +
                           " namespace: " + std::string(shares);
      break;
    case NamespaceWish::kNew: explanation.facts.push_back({"namespace", "new", ""}); break;
    case NamespaceWish::kPath:
      explanation.facts.push_back({"namespace", "joins " + quoted(plan.path), "by path"});
      break;
    case NamespaceWish::kInside:
      explanation.facts.push_back({"namespace", "the container's", "joined by exec"});
      break;
  }
  return explanation;
}

SysResult<void> enter_namespace(const NamespacePlan& plan, ChildContext& child) noexcept {
  const Kind& kind = kind_of(plan.type);
  if ((child.joined & kind.flag) != 0) return {};
  if (plan.wish == NamespaceWish::kNew) {
    if (::unshare(static_cast<int>(kind.flag)) != 0) return sys_fail(kind.unshare_call);
  } else if (plan.wish == NamespaceWish::kPath) {
    // O_NONBLOCK: the path may be a FIFO by mistake.
    const auto file = open_at(AT_FDCWD, plan.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file) return std::unexpected(file.error());
    struct stat status{};
    if (::fstat(file->get(), &status) != 0) return sys_fail("fstat", plan.path.c_str());
    if (::setns(file->get(), static_cast<int>(kind.flag)) != 0)
      return sys_fail(kind.setns_call, plan.path.c_str());
    child.entered[static_cast<std::size_t>(plan.type)] = status.st_ino;
  }
  return {};
}

SysResult<Fd> open_own_namespaces(int proc) noexcept {
  return open_at(proc, "self/ns", O_PATH | O_DIRECTORY);
}

SysResult<std::uint64_t> own_namespace_number(ChildContext& child,
                                              oci::NamespaceType type) noexcept {
  if (child.namespaces < 0) {
    TRY_ASSIGN(Fd directory, open_own_namespaces(child.proc));
    child.namespaces = directory.release();
  }
  return own_namespace_number(child.namespaces, type);
}

SysResult<std::uint64_t> own_namespace_number(int namespaces, oci::NamespaceType type) noexcept {
  const char* link = kind_of(type).link;
  char text[64];
  const ssize_t size = ::readlinkat(namespaces, link, text, sizeof text);
  if (size < 0) return sys_fail("readlink", link);
  // "net:[4026531840]"
  std::string_view rest(text, static_cast<std::size_t>(size));
  const std::size_t open = rest.find('[');
  if (open == std::string_view::npos || rest.back() != ']')
    return sys_fail_with(EBADMSG, "readlink", link);
  rest.remove_prefix(open + 1);
  rest.remove_suffix(1);
  const auto number = parse_number<std::uint64_t>(rest);
  if (!number) return sys_fail_with(EBADMSG, "readlink", link);
  return *number;
}

SysResult<void> verify_namespace(const NamespacePlan& plan, ChildContext& child) noexcept {
  if (plan.wish == NamespaceWish::kShared || plan.wish == NamespaceWish::kInside) return {};
  const auto own = own_namespace_number(child, plan.type);
  if (!own) return std::unexpected(own.error());
  if (plan.wish == NamespaceWish::kNew) {
    if (*own == plan.host)
      return not_held("the process is still in the runtime's namespace", kind_of(plan.type).link);
    return {};
  }
  const std::uint64_t entered = child.entered[static_cast<std::size_t>(plan.type)];
  const bool by_launch = (child.joined & kind_of(plan.type).flag) != 0;
  if (*own != entered && !(entered == 0 && by_launch))
    return not_held("the process is not in the namespace of the path", plan.path.c_str());
  return {};
}

}  // namespace bulkhead::isolation
