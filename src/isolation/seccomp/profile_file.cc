#include "isolation/seccomp/profile_file.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "base/text.h"
#include "isolation/seccomp/syscall_table.h"
#include "json/parse.h"
#include "oci/fields.h"
#include "oci/object_reader.h"

namespace bulkhead::isolation::seccomp {

// What a rule is tied to.
struct RuleFilter {
  std::vector<std::string> arches;  // Go's names: "amd64"
  std::vector<std::string> caps;
  std::string min_kernel;  // "4.8"
};
void fields(auto& visit, oci::Any<RuleFilter> auto& filter) {
  visit.optional("arches", filter.arches);
  visit.optional("caps", filter.caps);
  visit.optional("minKernel", filter.min_kernel);
}

struct FileRule {
  std::vector<std::string> names;
  std::string name;  // of old files: one rule per call
  std::string action;
  std::optional<std::uint32_t> errno_ret;
  std::string errno_name;  // Podman: "EPERM", beside errnoRet or instead of it
  std::vector<oci::SeccompArgument> args;
  std::string comment;
  RuleFilter includes;
  RuleFilter excludes;
};
void fields(auto& visit, oci::Any<FileRule> auto& rule) {
  visit.optional("names", rule.names);
  visit.optional("name", rule.name);
  visit.required("action", rule.action);
  visit.optional("errnoRet", rule.errno_ret);
  visit.optional("errno", rule.errno_name);
  visit.optional("args", rule.args);
  visit.optional("comment", rule.comment);
  visit.optional("includes", rule.includes);
  visit.optional("excludes", rule.excludes);
}

struct ArchitectureFamily {
  std::string architecture;
  std::vector<std::string> sub_architectures;
};
void fields(auto& visit, oci::Any<ArchitectureFamily> auto& family) {
  visit.required("architecture", family.architecture);
  visit.optional("subArchitectures", family.sub_architectures);
}

struct File {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::string default_errno_name;
  std::vector<ArchitectureFamily> arch_map;
  std::vector<std::string> architectures;
  std::vector<std::string> flags;
  std::string listener_path;
  std::string listener_metadata;
  std::vector<FileRule> syscalls;
  std::string schema;
};
void fields(auto& visit, oci::Any<File> auto& file) {
  visit.required("defaultAction", file.default_action);
  visit.optional("defaultErrnoRet", file.default_errno_ret);
  visit.optional("defaultErrno", file.default_errno_name);
  visit.optional("archMap", file.arch_map);
  visit.optional("architectures", file.architectures);
  visit.optional("flags", file.flags);
  visit.optional("listenerPath", file.listener_path);
  visit.optional("listenerMetadata", file.listener_metadata);
  visit.optional("syscalls", file.syscalls);
  visit.optional("$schema", file.schema);
}

namespace {

std::unexpected<Error> invalid(const std::string& what, std::string hint = {}) {
  return fail(ErrorKind::kInvalid, "seccomp profile: " + what, std::move(hint));
}

bool contains(std::span<const std::string> list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

// The errno that the file gives as a number, or else by name.
Result<std::optional<std::uint32_t>> errno_of(const std::optional<std::uint32_t>& number,
                                              const std::string& name) {
  if (number || name.empty()) return number;
  for (int candidate = 1; candidate < 4096; ++candidate) {
    const char* known = ::strerrorname_np(candidate);
    if (known != nullptr && name == known) return static_cast<std::uint32_t>(candidate);
  }
  return invalid(quoted(name) + " is not the name of an errno");
}

Result<bool> kernel_at_least(const std::string& version, const ProfileContext& context) {
  std::string_view rest = version;
  const auto major = parse_number<int>(next_field(rest, '.'));
  const auto minor = parse_number<int>(next_field(rest, '.'));
  if (!major || !minor) return invalid("minKernel " + quoted(version) + " is not like \"4.8\"");
  return context.kernel_major > *major ||
         (context.kernel_major == *major && context.kernel_minor >= *minor);
}

Result<bool> applies(const FileRule& rule, const ProfileContext& context) {
  constexpr std::string_view kNative = "amd64";
  const RuleFilter& in = rule.includes;
  const RuleFilter& out = rule.excludes;
  if (!in.arches.empty() && !contains(in.arches, kNative)) return false;
  if (contains(out.arches, kNative)) return false;
  const auto granted = [&](const std::string& capability) {
    return contains(context.granted, capability);
  };
  if (!std::ranges::all_of(in.caps, granted)) return false;
  if (std::ranges::any_of(out.caps, granted)) return false;
  if (!in.min_kernel.empty()) {
    TRY_ASSIGN(const bool new_enough, kernel_at_least(in.min_kernel, context));
    if (!new_enough) return false;
  }
  if (!out.min_kernel.empty()) {
    TRY_ASSIGN(const bool too_new, kernel_at_least(out.min_kernel, context));
    if (too_new) return false;
  }
  return true;
}

Result<void> check_names(const FileRule& rule) {
  for (const std::string& name : rule.names)
    if (find_syscall(name) == nullptr && !is_foreign_syscall(name))
      return invalid(quoted(name) + " is not a system call that this build knows",
                     "correct the name, or take it out of the profile");
  return {};
}

Result<std::vector<std::string>> architectures_of(File& file) {
  if (file.arch_map.empty()) return std::move(file.architectures);
  if (!file.architectures.empty())
    return invalid("archMap and architectures exclude each other", "keep one of them");
  std::vector<std::string> architectures;
  for (ArchitectureFamily& family : file.arch_map) {
    if (family.architecture != "SCMP_ARCH_X86_64") continue;
    architectures = std::move(family.sub_architectures);
    architectures.insert(architectures.begin(), std::move(family.architecture));
  }
  return architectures;
}

Result<File> decode(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  oci::Decoding decoding;
  File file;
  oci::read_value(decoding, document.root(), json::Place(), file);
  if (decoding.error) return std::unexpected(std::move(*decoding.error).within("seccomp profile"));
  if (!decoding.unknown_fields.empty())
    return invalid("unknown field " + quoted(decoding.unknown_fields.front()),
                   "remove it; nothing in a profile is ignored");
  return file;
}

}  // namespace

Result<oci::Seccomp> read_profile_file(std::string_view text, const ProfileContext& context) {
  TRY_ASSIGN(File file, decode(text));
  oci::Seccomp profile;
  TRY_ASSIGN(profile.default_errno_ret, errno_of(file.default_errno_ret, file.default_errno_name));
  TRY_ASSIGN(profile.architectures, architectures_of(file));
  profile.default_action = std::move(file.default_action);
  profile.flags = std::move(file.flags);
  profile.listener_path = std::move(file.listener_path);
  profile.listener_metadata = std::move(file.listener_metadata);
  for (FileRule& rule : file.syscalls) {
    if (!rule.name.empty()) rule.names.push_back(std::move(rule.name));
    TRY(check_names(rule));
    TRY_ASSIGN(const bool wanted, applies(rule, context));
    if (!wanted) continue;
    oci::SeccompRule plain{std::move(rule.names), std::move(rule.action), std::nullopt,
                           std::move(rule.args)};
    TRY_ASSIGN(plain.errno_ret, errno_of(rule.errno_ret, rule.errno_name));
    profile.syscalls.push_back(std::move(plain));
  }
  return profile;
}

}  // namespace bulkhead::isolation::seccomp
