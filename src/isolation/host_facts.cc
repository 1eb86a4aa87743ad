#include "isolation/host_facts.h"

#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

#include "base/text.h"
#include "isolation/capabilities/names.h"
#include "isolation/namespace.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

// lsm_list_modules(2), Linux 6.8.
constexpr long kListModules = 461;
constexpr std::uint64_t kSelinuxModule = 101;
constexpr std::uint64_t kApparmorModule = 104;

// The initial user namespace has had this number since namespaces have numbers (3.8).
constexpr std::uint64_t kInitialUserNamespace = 0xEFFFFFFD;

// "CapEff:\t000001ffffffffff" in /proc/self/status.
std::uint64_t hexadecimal_field(std::string_view status, std::string_view name) {
  const std::size_t at = status.find(name);
  if (at == std::string_view::npos) return 0;
  std::string_view rest = status.substr(at + name.size());
  return parse_number<std::uint64_t>(trim(next_field(rest, '\n')), 16).value_or(0);
}

// The bounding set, from /proc/self/status.
Result<std::uint64_t> read_bounding_set(int proc) {
  std::array<char, 8192> buffer;
  TRY_ASSIGN(const std::string_view status, read_small_file_at(proc, "self/status", buffer));
  return hexadecimal_field(status, "\nCapBnd:");
}

// Asking for a few capabilities is a tenth of the price of reading /proc/self/status.
Result<void> read_capabilities(int proc, HostFacts& facts) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0)
    return std::unexpected(Error(SysError{"capget", errno}));
  const auto join = [](std::uint32_t low, std::uint32_t high) {
    return low | static_cast<std::uint64_t>(high) << 32;
  };
  facts.effective_capabilities = join(data[0].effective, data[1].effective);
  const std::uint64_t permitted = join(data[0].permitted, data[1].permitted);
  const std::uint64_t missing = all_capabilities(facts.last_capability) & ~permitted;
  const bool inherited = data[0].inheritable != 0 || data[1].inheritable != 0;
  constexpr int kFew = 8;
  if (inherited || std::popcount(missing) > kFew) {
    TRY_ASSIGN(facts.bounding_capabilities, read_bounding_set(proc));
    return {};
  }
  // execve gives nothing beyond the bounding set but from the inheritable one, which is empty: what
  // is permitted is in it. Only about the others do we have to ask.
  facts.bounding_capabilities = permitted;
  for (int number = 0; number <= facts.last_capability; ++number)
    if ((missing & capability_bit(number)) != 0 && ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1)
      facts.bounding_capabilities |= capability_bit(number);
  return {};
}

int last_capability() {
  // Newer kernels may have more; none has fewer than 38 (Linux 5.8 added two to these).
  int last = 40;
  while (last > 0 && ::prctl(PR_CAPBSET_READ, last, 0, 0, 0) < 0) --last;
  while (last < 63 && ::prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) ++last;
  return last;
}

void read_version(HostFacts& facts) {
  struct utsname name{};
  if (::uname(&name) != 0) return;
  std::string_view release = name.release;  // "6.1.0-18-amd64"
  facts.kernel_major = parse_number<int>(next_field(release, '.')).value_or(0);
  const std::size_t digits = release.find_first_not_of("0123456789");
  facts.kernel_minor = parse_number<int>(release.substr(0, digits)).value_or(0);
}

void read_security_modules(int proc, HostFacts& facts) {
  std::array<std::uint64_t, 32> modules;
  std::uint32_t size = sizeof modules;
  const long count = ::syscall(kListModules, modules.data(), &size, 0U);
  if (count >= 0) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(count) && i < modules.size(); ++i) {
      facts.apparmor = facts.apparmor || modules[i] == kApparmorModule;
      facts.selinux = facts.selinux || modules[i] == kSelinuxModule;
    }
    return;
  }
  // Before 6.8: AppArmor says so itself; SELinux has its file system only when it is enabled.
  std::array<char, 16> flag;
  const auto enabled =
      read_small_file_at(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", flag);
  facts.apparmor = enabled && enabled->starts_with('Y');
  std::array<char, 8192> file_systems;
  const auto known = read_small_file_at(proc, "filesystems", file_systems);
  facts.selinux = known && known->find("\tselinuxfs\n") != std::string_view::npos;
}

int landlock_abi() {
  constexpr unsigned kCreateRulesetVersion = 1;
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0UL, kCreateRulesetVersion);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

// The signals below the real-time ones that this process ignores, from /proc/self/stat (proc(5), field
// 33): one file instead of 31 calls of sigaction(2).
Result<std::uint64_t> read_ignored_signals(int proc) {
  std::array<char, 1024> buffer;
  TRY_ASSIGN(const std::string_view stat, read_small_file_at(proc, "self/stat", buffer));
  // The second field, the name, may hold anything but ends with the last parenthesis.
  std::string_view rest = stat.substr(std::min(stat.rfind(')'), stat.size()));
  for (int field = 2; field < 33; ++field) next_field(rest, ' ');
  const auto ignored = parse_number<std::uint64_t>(next_field(rest, ' '));
  if (!ignored) return std::unexpected(Error(SysError{"read", EBADMSG, "/proc/self/stat"}));
  return *ignored;
}

}  // namespace

Result<HostFacts> gather_host_facts() {
  HostFacts facts;
  TRY_ASSIGN(const Fd proc, open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY));
  facts.euid = ::geteuid();
  facts.egid = ::getegid();
  facts.last_capability = last_capability();
  TRY(read_capabilities(proc.get(), facts));
  TRY_ASSIGN(facts.ignored_signals, read_ignored_signals(proc.get()));
  TRY_ASSIGN(const Fd namespaces, open_own_namespaces(proc.get()));
  for (std::size_t i = 0; i < facts.namespaces.size(); ++i) {
    const auto number = own_namespace_number(namespaces.get(), static_cast<oci::NamespaceType>(i));
    if (number) {
      facts.namespaces[i] = *number;
    } else if (number.error().error != ENOENT) {
      return std::unexpected(Error(number.error()));
    }
  }
  facts.user_namespace = facts.namespace_number(oci::NamespaceType::kUser) != 0;
  facts.cgroup_namespace = facts.namespace_number(oci::NamespaceType::kCgroup) != 0;
  facts.time_namespace = facts.namespace_number(oci::NamespaceType::kTime) != 0;
  facts.in_initial_user_namespace =
      !facts.user_namespace ||
      facts.namespace_number(oci::NamespaceType::kUser) == kInitialUserNamespace;
  if (!facts.in_initial_user_namespace) {
    std::array<char, 16> policy;
    const auto text = read_small_file_at(proc.get(), "self/setgroups", policy);
    facts.setgroups_denied = text && text->starts_with("deny");
  }
  read_version(facts);
  facts.landlock_abi = landlock_abi();
  read_security_modules(proc.get(), facts);
  const long keyring = ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
  // No keyrings in this kernel, or a filter around us that holds for the container too.
  if (keyring < 0 && errno != ENOSYS && errno != EPERM)
    return std::unexpected(Error(SysError{"keyctl(KEYCTL_GET_KEYRING_ID)", errno}));
  if (keyring > 0) facts.session_keyring = static_cast<std::int32_t>(keyring);
  return facts;
}

}  // namespace bulkhead::isolation
