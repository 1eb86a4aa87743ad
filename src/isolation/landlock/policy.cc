#include "isolation/landlock/policy.h"

#include <algorithm>

#include "base/text.h"
#include "json/parse.h"

namespace bulkhead::isolation::landlock {
namespace {

struct Word {
  std::string_view name;
  std::uint64_t bits;
};
constexpr Word kAccessWords[] = {
    {"read", kReadFile | kReadDir},
    {"write", kWriteFile | kTruncate},
    {"execute", kExecute},
    {"create", kMakeReg | kMakeDir | kMakeSym | kMakeSock | kMakeFifo},
    {"remove", kRemoveFile | kRemoveDir},
    {"refer", kRefer},
    {"ioctl", kIoctlDevice},
    {"devices", kMakeChar | kMakeBlock},
    {"all", kAllFileSystem},
};
constexpr Word kScopeWords[] = {
    {"abstract-unix-sockets", kScopeAbstractUnixSocket},
    {"signals", kScopeSignal},
};

std::unexpected<Error> invalid(const std::string& where, const std::string& what) {
  return fail(ErrorKind::kInvalid, "annotation org.bulkhead.landlock: " + where + ": " + what,
              "the form of the annotation is described in bulkhead-landlock(7)");
}

// Only these members, and an object at all.
Result<void> check_members(const json::Value& value, const std::string& where,
                           std::span<const std::string_view> known) {
  if (value.type() != json::Type::kObject) return invalid(where, "must be an object");
  for (const json::Member& member : value.members())
    if (std::ranges::find(known, member.key) == known.end())
      return invalid(where, "unknown field " + quoted(member.key));
  return {};
}

Result<std::uint64_t> bits_of(const json::Value& list, const std::string& where,
                              std::span<const Word> words) {
  if (list.type() != json::Type::kArray) return invalid(where, "must be a list of words");
  std::uint64_t bits = 0;
  for (const json::Value& item : list.items()) {
    const auto* word = std::ranges::find(words, item.as_string(), &Word::name).base();
    if (item.type() != json::Type::kString || word == words.data() + words.size())
      return invalid(where, item.type() == json::Type::kString
                                ? quoted(item.as_string()) + " is not known"
                                : "must be a list of words");
    bits |= word->bits;
  }
  return bits;
}

Result<PathAccess> path_access(const json::Value& value, const std::string& where) {
  constexpr std::string_view kKnown[] = {"path", "access", "optional"};
  TRY(check_members(value, where, kKnown));
  const json::Value* path = value.find("path");
  const json::Value* access = value.find("access");
  if (path == nullptr || !path->as_string().starts_with('/') ||
      path->as_string().find('\0') != std::string_view::npos)
    return invalid(where + ".path", "must be an absolute path");
  if (access == nullptr) return invalid(where + ".access", "is required");
  PathAccess rule;
  rule.path = path->as_string();
  TRY_ASSIGN(rule.access, bits_of(*access, where + ".access", kAccessWords));
  if (rule.access == 0) return invalid(where + ".access", "must not be empty");
  if (const json::Value* optional = value.find("optional")) {
    if (optional->type() != json::Type::kBoolean)
      return invalid(where + ".optional", "must be true or false");
    rule.optional = optional->as_boolean();
  }
  return rule;
}

Result<std::vector<std::uint16_t>> ports(const json::Value& list, const std::string& where) {
  if (list.type() != json::Type::kArray) return invalid(where, "must be a list of ports");
  std::vector<std::uint16_t> numbers;
  for (const json::Value& item : list.items()) {
    const auto number = item.as_uint64();
    if (!number || *number > 0xFFFF) return invalid(where, "ports are numbers from 0 to 65535");
    numbers.push_back(static_cast<std::uint16_t>(*number));
  }
  return numbers;
}

Result<void> read_tcp(const json::Value& tcp, Policy& policy) {
  constexpr std::string_view kKnown[] = {"bind", "connect"};
  TRY(check_members(tcp, "tcp", kKnown));
  if (const json::Value* bind = tcp.find("bind")) {
    TRY_ASSIGN(policy.bind, ports(*bind, "tcp.bind"));
  }
  if (const json::Value* connect = tcp.find("connect")) {
    TRY_ASSIGN(policy.connect, ports(*connect, "tcp.connect"));
  }
  return {};
}

Result<void> read_paths(const json::Value& paths, Policy& policy) {
  if (paths.type() != json::Type::kArray) return invalid("paths", "must be a list");
  policy.paths.emplace();
  for (const json::Value& item : paths.items()) {
    const std::string where = "paths[" + std::to_string(policy.paths->size()) + "]";
    TRY_ASSIGN(PathAccess rule, path_access(item, where));
    policy.paths->push_back(std::move(rule));
  }
  return {};
}

Result<Mode> mode_of(const json::Value* mode) {
  if (mode == nullptr || mode->as_string() == "required") return Mode::kRequired;
  if (mode->as_string() == "best-effort") return Mode::kBestEffort;
  return invalid("mode", "must be \"required\" or \"best-effort\"");
}

}  // namespace

std::uint64_t file_system_access_of(int abi) {
  if (abi < 1) return 0;
  std::uint64_t access = kAllFileSystem & ~(kRefer | kTruncate | kIoctlDevice);
  if (abi >= 2) access |= kRefer;
  if (abi >= 3) access |= kTruncate;
  if (abi >= 5) access |= kIoctlDevice;
  return access;
}

Result<Policy> parse_policy(std::string_view text) {
  const auto document = json::parse(text);
  if (!document) return invalid("not JSON", document.error().message());
  const json::Value& root = document->root();
  constexpr std::string_view kKnown[] = {"mode", "paths", "tcp", "scopes"};
  TRY(check_members(root, "the value", kKnown));
  Policy policy;
  TRY_ASSIGN(policy.mode, mode_of(root.find("mode")));
  if (const json::Value* paths = root.find("paths")) TRY(read_paths(*paths, policy));
  if (const json::Value* tcp = root.find("tcp")) TRY(read_tcp(*tcp, policy));
  if (const json::Value* scopes = root.find("scopes")) {
    TRY_ASSIGN(policy.scopes, bits_of(*scopes, "scopes", kScopeWords));
  }
  if (!policy.paths && !policy.bind && !policy.connect && policy.scopes == 0)
    return invalid("the value", "restricts nothing: give paths, tcp or scopes");
  return policy;
}

}  // namespace bulkhead::isolation::landlock
