#include "policy/policy.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.h"
#include "json/parse.h"
#include "oci/fields.h"
#include "oci/object_reader.h"
#include "sys/file.h"

namespace bulkhead::policy {
namespace {

constexpr std::array<std::string_view, 13> kRules{"privileged",
                                                  "host-user-namespace",
                                                  "host-pid-namespace",
                                                  "host-network",
                                                  "host-ipc-namespace",
                                                  "host-uts-namespace",
                                                  "host-cgroup-namespace",
                                                  "host-mounts",
                                                  "devices",
                                                  "hooks",
                                                  "new-privileges",
                                                  "unconfined-seccomp",
                                                  "unmasked-paths"};

// As the file has it.
struct File {
  std::vector<std::string> forbid;
  std::optional<std::vector<std::string>> host_mounts;
  std::optional<std::vector<std::string>> capabilities;
  std::optional<std::int64_t> memory_bytes;
  std::optional<std::int64_t> processes;
  std::optional<std::int64_t> milli_cpus;
  std::optional<std::vector<std::string>> images;
  std::string audit;
};

void fields(auto& visit, oci::Any<File> auto& file) {
  visit.optional("forbid", file.forbid);
  visit.optional("hostMounts", file.host_mounts);
  visit.optional("capabilities", file.capabilities);
  visit.optional("memoryBytes", file.memory_bytes);
  visit.optional("processes", file.processes);
  visit.optional("milliCpus", file.milli_cpus);
  visit.optional("images", file.images);
  visit.optional("audit", file.audit);
}

std::unexpected<Error> refuse(std::string_view field, std::string what, std::string hint = {}) {
  return fail(ErrorKind::kInvalid, "/" + std::string(field) + ": " + std::move(what),
              std::move(hint));
}

bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || (path.size() > 1 && path.ends_with('/'))) return false;
  for (const std::string_view part : split(path.substr(1), '/'))
    if (part == ".." || part == "." || (part.empty() && path.size() > 1)) return false;
  return true;
}

bool is_within(std::string_view path, std::string_view tree) {
  return tree == "/" || path == tree ||
         (path.starts_with(tree) && path.size() > tree.size() && path[tree.size()] == '/');
}

const oci::Namespace* namespace_of(const oci::Spec& spec, oci::NamespaceType type) {
  const auto& all = spec.linux_.namespaces;
  const auto found = std::ranges::find(all, type, &oci::Namespace::type);
  return found == all.end() ? nullptr : &*found;
}

bool is_bind(const oci::Mount& mount) {
  return mount.type == "bind" || std::ranges::any_of(mount.options, [](const std::string& option) {
           return option == "bind" || option == "rbind";
         });
}

// The kernel's own, which other engines bind instead of mounting.
bool is_kernels(std::string_view source) {
  constexpr std::string_view kTrees[] = {"/proc", "/sys", "/dev/mqueue", "/dev/pts"};
  return std::ranges::any_of(kTrees,
                             [&](std::string_view tree) { return is_within(source, tree); });
}

// Whether the path names a namespace that is not this process's own. What cannot be looked at counts as
// the host's.
bool is_elsewhere(const std::string& path, const char* own_link) {
  struct stat there{};
  struct stat own{};
  return ::stat(path.c_str(), &there) == 0 && ::stat(own_link, &own) == 0 &&
         (there.st_dev != own.st_dev || there.st_ino != own.st_ino);
}

// What every container has: the list of Docker and Podman, and making nodes that cannot be opened.
bool is_usual(const oci::DeviceRule& rule) {
  if (!rule.allow || rule.access == "m") return true;
  if (rule.type != "c" || !rule.major) return false;
  const std::int64_t minor = rule.minor.value_or(-1);
  switch (*rule.major) {
    case 1: return minor == 3 || minor == 5 || (minor >= 7 && minor <= 9);
    case 5: return minor >= 0 && minor <= 2;
    case 136: return true;
    default: return false;
  }
}

class Judge {
 public:
  Judge(const Policy& policy, const Subject& subject)
      : policy_(policy), subject_(subject), spec_(subject.spec) {}

  std::vector<std::string> judge() && {
    namespaces();
    privileges();
    mounts();
    limits();
    image();
    return std::move(found_);
  }

 private:
  void say(std::string text) { found_.push_back(std::move(text)); }
  void forbid(Rule rule, bool present, std::string what) {
    if (present && policy_.forbids(rule))
      say(std::string(kRules[static_cast<std::size_t>(rule)]) + ": " + what);
  }

  void namespaces() {
    struct Row {
      Rule rule;
      oci::NamespaceType type;
      const char* link;
      const char* what;
    };
    for (const Row& row : {Row{Rule::kHostUserNamespace, oci::NamespaceType::kUser,
                               "/proc/self/ns/user", "the container has no user namespace"},
                           Row{Rule::kHostPidNamespace, oci::NamespaceType::kPid,
                               "/proc/self/ns/pid", "the container has no pid namespace"},
                           Row{Rule::kHostNetwork, oci::NamespaceType::kNetwork,
                               "/proc/self/ns/net", "the container has no network namespace"},
                           Row{Rule::kHostIpcNamespace, oci::NamespaceType::kIpc,
                               "/proc/self/ns/ipc", "the container has no IPC namespace"},
                           Row{Rule::kHostUtsNamespace, oci::NamespaceType::kUts,
                               "/proc/self/ns/uts", "the container has no UTS namespace"},
                           Row{Rule::kHostCgroupNamespace, oci::NamespaceType::kCgroup,
                               "/proc/self/ns/cgroup", "the container has no cgroup namespace"}}) {
      const oci::Namespace* const own = namespace_of(spec_, row.type);
      forbid(row.rule, own == nullptr, row.what);
      if (own != nullptr && !own->path.empty() && policy_.forbids(row.rule))
        forbid(row.rule, !is_elsewhere(own->path, row.link),
               "the container joins the host's by " + quoted(own->path));
    }
  }

  bool holds(std::string_view capability) const {
    if (!spec_.process || !spec_.process->capabilities) return false;
    const auto& bounding = spec_.process->capabilities->bounding;
    return std::ranges::find(bounding, capability) != bounding.end();
  }

  void privileges() {
    const auto& resources = spec_.linux_.resources;
    const bool all_devices =
        resources && std::ranges::any_of(resources->devices, [](const oci::DeviceRule& rule) {
          return rule.allow && rule.type == "a" && rule.major.value_or(-1) < 0 &&
                 rule.minor.value_or(-1) < 0;
        });
    const bool host_ids = namespace_of(spec_, oci::NamespaceType::kUser) == nullptr;
    forbid(Rule::kPrivileged, all_devices || (host_ids && holds("CAP_SYS_ADMIN")),
           all_devices ? "every device is allowed"
                       : "CAP_SYS_ADMIN without a user namespace of the container's own");
    forbid(Rule::kDevices,
           all_devices || !spec_.linux_.devices.empty() ||
               (resources && !std::ranges::all_of(resources->devices, is_usual)),
           "devices beyond the usual ones");
    const bool hooks =
        spec_.hooks &&
        !(spec_.hooks->prestart.empty() && spec_.hooks->create_runtime.empty() &&
          spec_.hooks->create_container.empty() && spec_.hooks->start_container.empty() &&
          spec_.hooks->poststart.empty() && spec_.hooks->poststop.empty());
    forbid(Rule::kHooks, hooks, "hooks run on the host");
    forbid(Rule::kNewPrivileges, spec_.process && !spec_.process->no_new_privileges,
           "setuid programs work (no-new-privileges is off)");
    const auto& seccomp = spec_.linux_.seccomp;
    forbid(Rule::kUnconfinedSeccomp,
           !seccomp || seccomp->default_action == "SCMP_ACT_ALLOW" ||
               seccomp->default_action == "SCMP_ACT_LOG",
           "no seccomp profile that denies by default");
    forbid(Rule::kUnmaskedPaths, spec_.linux_.masked_paths.empty(), "no path of /proc is masked");
    if (!policy_.capabilities || !spec_.process || !spec_.process->capabilities) return;
    const oci::CapabilitySets& sets = *spec_.process->capabilities;
    for (const auto* set :
         {&sets.bounding, &sets.effective, &sets.inheritable, &sets.permitted, &sets.ambient})
      for (const std::string& name : *set)
        if (std::ranges::find(*policy_.capabilities, name) == policy_.capabilities->end()) {
          say("capabilities: " + quoted(name) + " is not among those that are allowed");
          return;
        }
  }

  // Where the source really lies: a link must not lead out of what is allowed.
  static std::string real_path(const std::string& path) {
    char* const real = ::realpath(path.c_str(), nullptr);
    std::string text = real == nullptr ? path : real;
    std::free(real);
    return text;
  }

  void mounts() {
    if (!policy_.forbids(Rule::kHostMounts)) return;
    if (!subject_.root.empty() && real_path(subject_.root) == "/")
      say("host-mounts: the container's root is the host's");
    for (const oci::Mount& mount : spec_.mounts) {
      if (!is_bind(mount)) {
        constexpr std::string_view kHarmless[] = {"proc",   "sysfs",  "tmpfs",   "devpts",
                                                  "mqueue", "cgroup", "cgroup2", "ramfs"};
        if (std::ranges::find(kHarmless, mount.type) == std::end(kHarmless))
          say("host-mounts: a file system of type " + quoted(mount.type));
        continue;
      }
      const auto& own = subject_.own_mounts;
      if (std::ranges::find(own, mount.destination) != own.end()) continue;
      const std::string source = real_path(mount.source);
      if (is_kernels(source)) continue;
      if (std::ranges::any_of(policy_.host_mounts, [&](const std::string& tree) {
            return is_plain_path(source) && is_within(source, tree);
          }))
        continue;
      say("host-mounts: " + quoted(source) + " is not among the trees that may be mounted");
    }
  }

  void limit(std::string_view name, const std::optional<std::int64_t>& most,
             std::optional<std::int64_t> asked) {
    if (!most) return;
    if (!asked || *asked <= 0)
      say(std::string(name) + ": there must be a limit, of at most " + std::to_string(*most));
    else if (*asked > *most)
      say(std::string(name) + ": " + std::to_string(*asked) + " is more than the allowed " +
          std::to_string(*most));
  }

  void limits() {
    const oci::Resources none;
    const oci::Resources& resources = spec_.linux_.resources ? *spec_.linux_.resources : none;
    limit("memoryBytes", policy_.memory_bytes,
          resources.memory ? resources.memory->limit : std::nullopt);
    limit("processes", policy_.processes, resources.pids_limit);
    std::optional<std::int64_t> cpus;
    if (resources.cpu && resources.cpu->quota.value_or(0) > 0) {
      const std::uint64_t period =
          std::max<std::uint64_t>(resources.cpu->period.value_or(100'000), 1);
      // Rounded up; what does not fit is too much anyway.
      const auto quota = static_cast<std::uint64_t>(*resources.cpu->quota);
      const std::uint64_t scaled = quota > UINT64_MAX / 1000 ? UINT64_MAX / 2 : quota * 1000;
      cpus = static_cast<std::int64_t>(scaled / period + (scaled % period != 0 ? 1 : 0));
    }
    limit("milliCpus", policy_.milli_cpus, cpus);
  }

  void image() {
    if (!policy_.images) return;
    if (subject_.image.empty())
      return say(
          "images: only those that are listed may be started, and it is not known which this is");
    for (const std::string& pattern : *policy_.images) {
      const bool open = pattern.ends_with('*');
      const std::string_view fixed =
          std::string_view(pattern).substr(0, pattern.size() - (open ? 1 : 0));
      if (open ? subject_.image.starts_with(fixed) : subject_.image == fixed) return;
    }
    say("images: " + quoted(subject_.image) + " is not among those that may be started");
  }

  const Policy& policy_;
  const Subject& subject_;
  const oci::Spec& spec_;
  std::vector<std::string> found_;
};

// In a user namespace that does not map the host's root, its files belong to the overflow id.
bool is_roots(uid_t owner) {
  if (owner == 0) return true;
  constexpr uid_t kOverflow = 65'534;
  const auto map = read_file_at(AT_FDCWD, "/proc/self/uid_map");
  return owner == kOverflow && map && map->find("4294967295") == std::string::npos;
}

// Nobody but root may have had a hand in it.
Result<void> check_owner(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  if (!is_roots(status.st_uid) || (status.st_mode & 022) != 0)
    return fail(ErrorKind::kPermission, quoted(path) + ": others than root may write to it",
                "chown root and chmod go-w; until then nothing is started");
  return {};
}

}  // namespace

std::span<const std::string_view> rule_names() { return kRules; }

Result<Policy> parse_policy(std::string_view json) {
  TRY_ASSIGN(const json::Document document, json::parse(json));
  oci::Decoding decoding;
  File file;
  oci::read_object(decoding, document.root(), json::Place(), file);
  if (decoding.failed()) return std::unexpected(std::move(*decoding.error));
  if (!decoding.unknown_fields.empty())
    return fail(ErrorKind::kInvalid, decoding.unknown_fields.front() + ": there is no such field",
                "a rule that is not understood would not be kept");
  Policy policy;
  for (const std::string& word : file.forbid) {
    const auto rule = std::ranges::find(kRules, word);
    if (rule == kRules.end()) {
      std::string names;
      for (const std::string_view name : kRules)
        names.append(names.empty() ? "" : " ").append(name);
      return refuse("forbid", "there is no rule " + quoted(word), "the rules are: " + names);
    }
    policy.forbidden |= 1U << (rule - kRules.begin());
  }
  if (file.host_mounts && !policy.forbids(Rule::kHostMounts))
    return refuse("hostMounts", "means nothing unless \"host-mounts\" is forbidden");
  policy.host_mounts = file.host_mounts.value_or(std::vector<std::string>());
  for (const std::string& tree : policy.host_mounts)
    if (!is_plain_path(tree))
      return refuse("hostMounts", quoted(tree) + " is not an absolute path without . and ..");
  for (const std::string& name : file.capabilities.value_or(std::vector<std::string>()))
    if (!name.starts_with("CAP_"))
      return refuse("capabilities", quoted(name) + " is not a capability's name",
                    "as in CAP_CHOWN");
  for (const auto& [field, value] : {std::pair("memoryBytes", file.memory_bytes),
                                     {"processes", file.processes},
                                     {"milliCpus", file.milli_cpus}})
    if (value && *value <= 0) return refuse(field, "is not more than 0");
  if (!file.audit.empty() && !is_plain_path(file.audit))
    return refuse("audit", quoted(file.audit) + " is not an absolute path");
  policy.capabilities = std::move(file.capabilities);
  policy.memory_bytes = file.memory_bytes;
  policy.processes = file.processes;
  policy.milli_cpus = file.milli_cpus;
  policy.images = std::move(file.images);
  policy.audit = std::move(file.audit);
  return policy;
}

Result<std::optional<Policy>> read_policy(const char* path) {
  const auto file = open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!file && file.error().error == ENOENT) return std::nullopt;
  if (!file) return std::unexpected(Error(file.error()).within("the host's policy"));
  const std::string name(path);
  TRY_WITHIN("the host's policy", check_owner(file->get(), name));
  const std::string directory = name.substr(0, name.rfind('/'));
  TRY_ASSIGN(const Fd parent, open_at(AT_FDCWD, directory.c_str(), O_PATH | O_DIRECTORY));
  TRY_WITHIN("the host's policy", check_owner(parent.get(), directory));
  TRY_ASSIGN(const std::string text, read_fd(file->get()));
  auto policy = parse_policy(text);
  if (!policy)
    return std::unexpected(std::move(policy).error().within("the host's policy " + quoted(name)));
  return std::move(*policy);
}

std::vector<std::string> violations(const Policy& policy, const Subject& subject) {
  return Judge(policy, subject).judge();
}

}  // namespace bulkhead::policy
