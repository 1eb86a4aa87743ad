#include "isolation/landlock/landlock.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "isolation/landlock/policy.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

using landlock::Mode;
using landlock::Policy;

// linux/landlock.h as of ABI 6. A kernel that knows less takes the longer form as long as the rest
// is zero.
struct RulesetAttributes {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};
struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};
struct NetPort {
  std::uint64_t allowed_access;
  std::uint64_t port;
};
enum RuleType { kPathBeneath = 1, kNetPort = 2 };

struct Need {
  int abi;
  const char* what;
  const char* since;
};

// What the policy needs of the kernel.
std::vector<Need> needs_of(const Policy& policy) {
  std::vector<Need> needs;
  if (policy.paths) {
    needs.push_back({1, "files", "5.13"});
    needs.push_back({2, "renames between directories", "5.19"});
    needs.push_back({3, "truncation of files", "6.2"});
    needs.push_back({5, "ioctl on devices", "6.10"});
  }
  if (policy.bind || policy.connect) needs.push_back({4, "TCP ports", "6.7"});
  if (policy.scopes != 0) needs.push_back({6, "abstract sockets and signals", "6.12"});
  return needs;
}

// Whether the tree at `rule` contains `path`, by their names.
bool covers(std::string_view rule, std::string_view path) {
  while (rule.ends_with('/') || rule.ends_with("/."))
    rule.remove_suffix(rule.ends_with('/') ? 1 : 2);
  return path.starts_with(rule) &&
         (path.size() == rule.size() || rule.empty() || path[rule.size()] == '/');
}

bool denied(const Landlock::Plan& plan, std::string_view path, std::uint64_t access) {
  if ((plan.handled_access_fs & access) == 0) return false;
  return std::ranges::none_of(plan.paths, [&](const Landlock::PathRule& rule) {
    return (rule.access & access) != 0 && covers(rule.path, path);
  });
}

// A high port that the rules do not give; 0: they give all.
std::uint16_t closed_port(const Landlock::Plan& plan, std::uint64_t access) {
  if ((plan.handled_access_net & access) == 0) return 0;
  for (std::uint16_t port = 65535; port > 1024; --port)
    if (std::ranges::none_of(plan.ports, [&](const Landlock::PortRule& rule) {
          return rule.port == port && (rule.access & access) != 0;
        }))
      return port;
  return 0;
}

void choose_probe(Landlock::Plan& plan) {
  using Probe = Landlock::Probe;
  if (denied(plan, "/", landlock::kReadDir)) {
    plan.probe = Probe::kListRoot;
  } else if (denied(plan, "/dev/null", landlock::kWriteFile)) {
    plan.probe = Probe::kWriteNull;
  } else if (denied(plan, "/dev/null", landlock::kReadFile)) {
    plan.probe = Probe::kReadNull;
  } else if ((plan.probe_port = closed_port(plan, landlock::kBindTcp)) != 0) {
    plan.probe = Probe::kBindTcp;
  } else if ((plan.probe_port = closed_port(plan, landlock::kConnectTcp)) != 0) {
    plan.probe = Probe::kConnectTcp;
  }
}

void add_ports(Landlock::Plan& plan, const std::optional<std::vector<std::uint16_t>>& ports,
               std::uint64_t access) {
  if (!ports) return;
  plan.handled_access_net |= access;
  for (const std::uint16_t port : *ports) plan.ports.push_back({port, access});
}

Landlock::Plan plan_of(const Policy& policy, int abi) {
  Landlock::Plan plan;
  plan.standing = Standing::kApplied;
  plan.abi = abi;
  if (policy.paths) {
    plan.handled_access_fs = landlock::file_system_access_of(abi);
    for (const landlock::PathAccess& rule : *policy.paths) {
      const std::uint64_t access = rule.access & plan.handled_access_fs;
      if (access != 0)  // else it gives only what this kernel does not restrict
        plan.paths.push_back({rule.path, access, access & landlock::kOnFiles, rule.optional});
    }
  }
  if (abi >= 4) {
    add_ports(plan, policy.bind, landlock::kBindTcp);
    add_ports(plan, policy.connect, landlock::kConnectTcp);
  }
  if (abi >= 6) plan.scoped = policy.scopes;
  choose_probe(plan);
  return plan;
}

SysResult<void> add_path(int ruleset, const Landlock::PathRule& rule) noexcept {
  const auto opened = open_at2(AT_FDCWD, rule.path.c_str(), O_PATH, RESOLVE_NO_MAGICLINKS);
  if (!opened) {
    if (rule.optional && (opened.error().error == ENOENT || opened.error().error == ENOTDIR))
      return {};
    return std::unexpected(opened.error());
  }
  PathBeneath beneath{rule.access, opened->get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, kPathBeneath, &beneath, 0) == 0) return {};
  // Something else than a directory takes only what a file can have.
  if (errno == EINVAL && rule.file_access != 0 && rule.file_access != rule.access) {
    beneath.allowed_access = rule.file_access;
    if (::syscall(SYS_landlock_add_rule, ruleset, kPathBeneath, &beneath, 0) == 0) return {};
  }
  return sys_fail("landlock_add_rule", rule.path.c_str());
}

SysResult<void> restrict(const Landlock::Plan& plan) noexcept {
  const RulesetAttributes attributes{plan.handled_access_fs, plan.handled_access_net, plan.scoped};
  const Fd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!ruleset) return sys_fail("landlock_create_ruleset");
  for (const Landlock::PathRule& rule : plan.paths) TRY(add_path(ruleset.get(), rule));
  for (const Landlock::PortRule& rule : plan.ports) {
    const NetPort port{rule.access, rule.port};
    if (::syscall(SYS_landlock_add_rule, ruleset.get(), kNetPort, &port, 0) != 0)
      return sys_fail("landlock_add_rule: a port");
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return sys_fail("landlock_restrict_self");
  return {};
}

// Whether Landlock refuses to open the file. A file that is not there tells nothing.
SysResult<void> expect_closed(const char* path, int flags) noexcept {
  const auto opened = open_at(AT_FDCWD, path, flags);
  if (opened) return not_held("landlock: a file that no rule names can be opened:", path);
  if (opened.error().error == EACCES || opened.error().error == ENOENT) return {};
  return std::unexpected(opened.error());
}

SysResult<void> expect_port_closed(const Landlock::Plan& plan) noexcept {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno == EAFNOSUPPORT ? SysResult<void>() : sys_fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(plan.probe_port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  const int done = plan.probe == Landlock::Probe::kBindTcp
                       ? ::bind(socket.get(), raw, sizeof address)
                       : ::connect(socket.get(), raw, sizeof address);
  if (done != 0 && errno == EACCES) return {};
  return not_held("landlock: a TCP port that no rule names can be used");
}

std::string access_text(std::uint64_t access) {
  constexpr std::pair<std::uint64_t, std::string_view> kWords[] = {
      {landlock::kReadFile | landlock::kReadDir, "read"},
      {landlock::kWriteFile, "write"},
      {landlock::kExecute, "execute"},
      {landlock::kMakeReg | landlock::kMakeDir, "create"},
      {landlock::kRemoveFile, "remove"},
      {landlock::kRefer, "refer"},
      {landlock::kIoctlDevice, "ioctl"},
      {landlock::kMakeChar, "devices"}};
  std::string text;
  for (const auto& [bits, word] : kWords)
    if ((access & bits) != 0) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

std::string ports_text(const Landlock::Plan& plan, std::uint64_t access) {
  std::string text;
  for (const Landlock::PortRule& rule : plan.ports)
    if ((rule.access & access) != 0) text += (text.empty() ? "" : ", ") + std::to_string(rule.port);
  return text.empty() ? "none" : text;
}

}  // namespace

Result<Landlock::Plan> Landlock::describe(const Request& request, const HostFacts& host) {
  Plan nothing;
  nothing.reason = "no rules were asked for";
  const auto annotation = request.spec.annotations.find(std::string(kAnnotation));
  if (annotation == request.spec.annotations.end()) return nothing;
  TRY_ASSIGN(const Policy policy, landlock::parse_policy(annotation->second));
  const bool best_effort = policy.mode == Mode::kBestEffort || request.defaults.landlock;
  const int abi = std::min(host.landlock_abi, landlock::kNewestAbi);
  std::vector<std::string> missing;
  for (const Need& need : needs_of(policy)) {
    if (abi >= need.abi) continue;
    if (!best_effort)
      return fail(ErrorKind::kUnsupported,
                  std::string("landlock: rules for ") + need.what + " need Linux " + need.since +
                      " (ABI " + std::to_string(need.abi) + "); this kernel has " +
                      (abi == 0 ? "no Landlock" : "ABI " + std::to_string(abi)),
                  "set \"mode\": \"best-effort\" in the annotation to do without");
    missing.push_back(std::string(need.what) + " (Linux " + need.since + ")");
  }
  Plan plan = plan_of(policy, abi);
  plan.left_out = std::move(missing);
  if (plan.handled_access_fs == 0 && plan.handled_access_net == 0 && plan.scoped == 0) {
    plan.standing = Standing::kLeftOut;
    plan.reason = abi == 0 ? "this kernel has no Landlock, or it is not enabled (lsm=landlock,...)"
                           : "this kernel's Landlock can enforce none of the rules";
  }
  return plan;
}

Explanation Landlock::explain(const Plan& plan) {
  Explanation explanation{plan.standing, plan.reason, {}};
  if (!plan.enabled()) return explanation;
  auto& facts = explanation.facts;
  facts.push_back({"ABI", std::to_string(plan.abi), ""});
  if (plan.handled_access_fs != 0)
    facts.push_back({"files", "only the following trees", "everything else is denied"});
  for (const PathRule& rule : plan.paths)
    facts.push_back({quoted(rule.path), access_text(rule.access),
                     rule.optional ? "left out where it does not exist" : ""});
  if ((plan.handled_access_net & landlock::kBindTcp) != 0)
    facts.push_back({"TCP ports to serve", ports_text(plan, landlock::kBindTcp), ""});
  if ((plan.handled_access_net & landlock::kConnectTcp) != 0)
    facts.push_back({"TCP ports to reach", ports_text(plan, landlock::kConnectTcp), ""});
  if ((plan.scoped & landlock::kScopeAbstractUnixSocket) != 0)
    facts.push_back({"abstract sockets", "the container's own", ""});
  if ((plan.scoped & landlock::kScopeSignal) != 0)
    facts.push_back({"signals", "to the container's own processes", ""});
  for (const std::string& rest : plan.left_out)
    facts.push_back({"not restricted", rest, "this kernel is older"});
  if (plan.probe == Probe::kNone)
    facts.push_back({"verification", "none", "the rules leave nothing that could be tried"});
  return explanation;
}

SysResult<void> Landlock::apply(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.enabled()) return {};
  TRY(restrict(plan));
  return verify(plan, child);
}

SysResult<void> Landlock::verify(const Plan& plan, ChildContext&) noexcept {
  if (!plan.enabled()) return {};
  switch (plan.probe) {
    case Probe::kNone: return {};
    case Probe::kListRoot: return expect_closed("/", O_RDONLY | O_DIRECTORY);
    case Probe::kWriteNull: return expect_closed("/dev/null", O_WRONLY | O_NOCTTY);
    case Probe::kReadNull: return expect_closed("/dev/null", O_RDONLY | O_NOCTTY);
    case Probe::kBindTcp:
    case Probe::kConnectTcp: return expect_port_closed(plan);
  }
  return {};
}

}  // namespace bulkhead::isolation
