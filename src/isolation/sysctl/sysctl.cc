#include "isolation/sysctl/sysctl.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

using oci::NamespaceType;

// Names of interfaces may hold more than letters; nothing that a name or a value may hold means
// anything to a tool that joins settings into one string ('+', '=', ',' in names, newlines).
constexpr std::string_view kNameBytes =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@";
constexpr std::string_view kValueBytes =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:, \t";
constexpr std::size_t kLongestValue = 4000;  // one page goes through in one write

constexpr std::array<std::string_view, 12> kOfIpcNamespace{
    "msgmax", "msgmnb", "msgmni",      "msg_next_id",     "sem",         "sem_next_id", "shmall",
    "shmmax", "shmmni", "shm_next_id", "shm_rmid_forced", "auto_msgmni",
};

Error refusal(std::string_view name, std::string reason, std::string hint = {}) {
  return {ErrorKind::kInvalid, "/linux/sysctl: " + quoted(name) + ": " + std::move(reason),
          std::move(hint)};
}

// The namespace that owns the parameter.
Result<NamespaceType> owner_of(std::string_view name, std::span<const std::string> parts) {
  if (parts[0] == "net" && parts.size() >= 2) return NamespaceType::kNetwork;
  if (parts[0] == "fs" && parts.size() == 3 && parts[1] == "mqueue") return NamespaceType::kIpc;
  if (parts[0] == "kernel" && parts.size() == 2) {
    if (std::ranges::find(kOfIpcNamespace, parts[1]) != kOfIpcNamespace.end())
      return NamespaceType::kIpc;
    if (parts[1] == "domainname") return NamespaceType::kUts;
    if (parts[1] == "hostname")
      return std::unexpected(
          refusal(name, "the host name has a field of its own", "set /hostname instead"));
  }
  return std::unexpected(
      refusal(name, "no namespace owns this parameter: it would change the whole host",
              "a container may set net.*, fs.mqueue.*, kernel.msg*, kernel.sem*, kernel.shm* and "
              "kernel.domainname; set others on the host"));
}

std::vector<std::int64_t> numbers_in(std::string_view value) {
  std::vector<std::int64_t> numbers;
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t end = std::min(value.find_first_of(" \t", at), value.size());
    if (end > at) {
      const auto number = parse_number<std::int64_t>(value.substr(at, end - at));
      if (!number) return {};
      numbers.push_back(*number);
    }
    at = end + 1;
  }
  return numbers;
}

Result<Sysctls::Setting> plan_setting(const std::string& name, const std::string& value) {
  TRY_ASSIGN(const std::vector<std::string> parts, sysctl_parts(name));
  Sysctls::Setting setting;
  TRY_ASSIGN(setting.owner, owner_of(name, parts));
  if (value.find_first_not_of(kValueBytes) != std::string::npos || value.size() > kLongestValue)
    return std::unexpected(
        refusal(name, "the value " + quoted(value) + " is not a plausible one",
                "values are words and numbers; each parameter is set on its own"));
  setting.path = "sys";
  for (const std::string& part : parts) {
    setting.path.append("/").append(part);
    setting.name.append(setting.name.empty() ? "" : ".").append(part);
  }
  setting.value = value + "\n";
  setting.numbers = numbers_in(value);
  return setting;
}

// Whether the file shows the numbers; kernels print -1 in an unsigned parameter as 4294967295.
bool shows(std::string_view text, std::span<const std::int64_t> wanted) noexcept {
  std::size_t index = 0;
  while (!text.empty()) {
    std::size_t end = 0;
    while (end < text.size() && text[end] != ' ' && text[end] != '\t' && text[end] != '\n') ++end;
    if (end > 0) {
      std::int64_t number = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + end, number);
      if (parsed.ec != std::errc{} || parsed.ptr != text.data() + end) return false;
      if (index == wanted.size()) return false;
      const std::int64_t want = wanted[index++];
      if (number != want &&
          !(want < 0 && number == static_cast<std::int64_t>(static_cast<std::uint32_t>(want))))
        return false;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return index == wanted.size();
}

}  // namespace

Result<std::vector<std::string>> sysctl_parts(std::string_view name) {
  const std::size_t first = name.find_first_of("./");
  if (first == std::string_view::npos)
    return std::unexpected(
        refusal(name, "not the name of a parameter", "write it as in \"net.ipv4.ip_forward\""));
  const char separator = name[first];
  std::vector<std::string> parts;
  for (const std::string_view part : split(name, separator)) {
    std::string text(part);
    // After a leading dot-separator, a slash stands for a dot within a name.
    if (separator == '.') std::ranges::replace(text, '/', '.');
    if (text.empty() || text == "." || text == ".." ||
        text.find_first_not_of(kNameBytes) != std::string::npos)
      return std::unexpected(
          refusal(name, "not the name of a parameter", "write it as in \"net.ipv4.ip_forward\""));
    parts.push_back(std::move(text));
  }
  return parts;
}

Result<Sysctls::Plan> Sysctls::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  // exec finds the parameters as they are in the container.
  if (request.joining) return plan;
  for (const auto& [name, value] : request.spec.linux_.sysctl) {
    TRY_ASSIGN(Setting setting, plan_setting(name, value));
    TRY_ASSIGN(const NamespacePlan owner, plan_namespace(setting.owner, request, host));
    const std::string kind(namespace_name(setting.owner));
    if (!owner.own())
      return std::unexpected(refusal(
          name, "it belongs to the " + kind + " namespace, which is shared with the host",
          "add a " + kind + " namespace to /linux/namespaces, or set the parameter on the host"));
    for (const Setting& other : plan.settings)
      if (other.path == setting.path)
        return std::unexpected(refusal(name, "given twice, in two spellings"));
    if (setting.owner == NamespaceType::kUts && !request.spec.domainname.empty() &&
        request.spec.domainname != value)
      return std::unexpected(refusal(name, "contradicts /domainname", "keep one of the two"));
    const auto same_type = [&](const NamespacePlan& other) { return other.type == owner.type; };
    if (owner.wish == NamespaceWish::kPath && std::ranges::none_of(plan.joined, same_type))
      plan.joined.push_back(owner);
    plan.settings.push_back(std::move(setting));
  }
  return plan;
}

Explanation Sysctls::explain(const Plan& plan) {
  Explanation explanation;
  if (plan.settings.empty()) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "none asked for";
  }
  for (const Setting& setting : plan.settings)
    explanation.facts.push_back(
        {setting.name, std::string(trim(setting.value)),
         "of the " + std::string(namespace_name(setting.owner)) + " namespace"});
  return explanation;
}

SysResult<void> Sysctls::apply(const Plan& plan, ChildContext& child) noexcept {
  for (const NamespacePlan& joined : plan.joined) {
    TRY_ASSIGN(const std::uint64_t own, own_namespace_number(child, joined.type));
    if (own == joined.host)
      return sys_fail_with(EPERM, "sysctl (the namespace of the path is the host's own)",
                           joined.path.c_str());
  }
  for (const Setting& setting : plan.settings)
    TRY(write_file_at(child.proc, setting.path.c_str(), setting.value));
  return {};
}

SysResult<void> Sysctls::verify(const Plan& plan, ChildContext& child) noexcept {
  for (const Setting& setting : plan.settings) {
    if (setting.numbers.empty()) continue;  // words and lists come back in the kernel's spelling
    std::array<char, 4096> buffer;
    const auto text = read_small_file_at(child.proc, setting.path.c_str(), buffer);
    // Some parameters are triggers and cannot be read.
    if (!text && (text.error().error == EACCES || text.error().error == EPERM)) continue;
    if (!text) return std::unexpected(text.error());
    if (!shows(*text, setting.numbers))
      return not_held("the value is another", setting.path.c_str());
  }
  return {};
}

}  // namespace bulkhead::isolation
