#include "isolation/capabilities/names.h"

#include <array>

namespace bulkhead::isolation {
namespace {

constexpr std::array<const char*, kCapabilityCount> kNames{
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
constexpr std::string_view kPrefix = "CAP_";

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool same_but_for_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (upper(a[i]) != upper(b[i])) return false;
  return true;
}

std::optional<int> find(std::string_view name, std::size_t skip) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (same_but_for_case(name, std::string_view(kNames[i]).substr(skip)))
      return static_cast<int>(i);
  return std::nullopt;
}

}  // namespace

std::optional<int> capability_number(std::string_view name) { return find(name, 0); }

std::optional<int> capability_number_of_user(std::string_view name) {
  if (const auto number = find(name, 0)) return number;
  return find(name, kPrefix.size());
}

const char* capability_text(int number) noexcept {
  return number >= 0 && number < kCapabilityCount ? kNames[static_cast<std::size_t>(number)]
                                                  : "a capability above CAP_CHECKPOINT_RESTORE";
}

std::string capability_name(int number) {
  if (number >= 0 && number < kCapabilityCount) return capability_text(number);
  return std::string(kPrefix) + std::to_string(number);
}

std::vector<std::string> capability_names(std::uint64_t set) {
  std::vector<std::string> names;
  for (int number = 0; number < 64; ++number)
    if ((set & capability_bit(number)) != 0) names.push_back(capability_name(number));
  return names;
}

std::string capability_set_in_words(std::uint64_t set, int last) {
  if (set == 0) return "none";
  if (set == all_capabilities(last)) return "all " + std::to_string(last + 1);
  std::string words;
  for (const std::string& name : capability_names(set))
    words.append(words.empty() ? "" : " ").append(name);
  return words;
}

}  // namespace bulkhead::isolation
