#include "isolation/seccomp/default_profile.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "isolation/seccomp/default_calls.h"

namespace bulkhead::isolation::seccomp {
namespace {

constexpr std::uint32_t kLowWord = 0xFFFF'FFFFU;  // what the kernel reads of an int argument

// Flags of clone(2) that make namespaces. CLONE_NEWTIME shares its bit with the exit signal and is
// clone3's and unshare's alone.
constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                          CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                          CLONE_NEWNET;

// Of <sys/socket.h>, <netinet/in.h> and <linux/netlink.h>, by number so that all stand here.
constexpr std::uint64_t kFamilyUnix = 1;
constexpr std::uint64_t kFamilyInet = 2;
constexpr std::uint64_t kFamilyInet6 = 10;
constexpr std::uint64_t kFamilyNetlink = 16;
constexpr std::uint64_t kFamilyPacket = 17;
constexpr std::uint64_t kTypeStream = 1;
constexpr std::uint64_t kTypeDatagram = 2;
constexpr std::uint64_t kTypeRaw = 3;
constexpr std::uint64_t kTypeMask = 0xF;  // the rest are SOCK_CLOEXEC and SOCK_NONBLOCK
constexpr std::uint64_t kRareProtocols[] = {33 /* DCCP */, 115 /* L2TP */, 132 /* SCTP */,
                                            136 /* UDP-Lite */};
constexpr std::uint64_t kNetlinkOpen[] = {0 /* ROUTE */, 4 /* SOCK_DIAG */,
                                          15 /* KOBJECT_UEVENT */};
constexpr std::uint64_t kNetlinkNetAdmin[] = {12 /* NETFILTER */, 16 /* GENERIC */};
constexpr std::uint64_t kNetlinkAudit = 9;

constexpr std::uint64_t kPersonalities[] = {0, 0x8 /* a 32-bit machine in uname */,
                                            0x20000 /* UNAME26 */, 0x20008, 0xFFFFFFFF /* ask */};
constexpr std::uint64_t kTerminalInjection[] = {0x5412 /* TIOCSTI */, 0x541C /* TIOCLINUX */};

constexpr const char* kAllow = "SCMP_ACT_ALLOW";
constexpr const char* kErrno = "SCMP_ACT_ERRNO";

oci::SeccompArgument equals(std::uint32_t index, std::uint64_t value) {
  return {index, value, 0, "SCMP_CMP_EQ"};
}
oci::SeccompArgument masked(std::uint32_t index, std::uint64_t mask, std::uint64_t value) {
  return {index, mask, value, "SCMP_CMP_MASKED_EQ"};
}

class Writer {
 public:
  explicit Writer(std::span<const std::string> granted) : granted_(granted) {
    profile_.default_action = kErrno;
    profile_.default_errno_ret = EPERM;
    // Not x32: hardly a kernel has it enabled, and its calls are a third set to get wrong.
    profile_.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"};
  }

  oci::Seccomp write() && {
    allow(kAllowedCalls);
    for (const CapabilityCalls& opened : kCallsByCapability)
      if (has(opened.capability)) allow(opened.calls);
    processes();
    sockets();
    for (const std::uint64_t value : kPersonalities) allow_if("personality", {equals(0, value)});
    // "Greater or equal 0" always holds, and is looked at after the two that must not be.
    for (const std::uint64_t request : kTerminalInjection)
      refuse_if("ioctl", EIO, {masked(1, kLowWord, request)});
    allow_if("ioctl", {{1, 0, 0, "SCMP_CMP_GE"}});
    return std::move(profile_);
  }

 private:
  bool has(std::string_view capability) const {
    return std::ranges::find(granted_, capability) != granted_.end();
  }

  void add(std::vector<std::string> names, const char* action,
           std::optional<std::uint32_t> errno_ret, std::vector<oci::SeccompArgument> arguments) {
    profile_.syscalls.push_back({std::move(names), action, errno_ret, std::move(arguments)});
  }
  void allow(std::span<const std::string_view> calls) {
    add({calls.begin(), calls.end()}, kAllow, std::nullopt, {});
  }
  void allow_if(const char* call, std::vector<oci::SeccompArgument> arguments) {
    add({call}, kAllow, std::nullopt, std::move(arguments));
  }
  void refuse_if(const char* call, std::uint32_t error,
                 std::vector<oci::SeccompArgument> arguments) {
    add({call}, kErrno, error, std::move(arguments));
  }

  void processes() {
    if (has("CAP_SYS_ADMIN")) {
      add({"clone", "clone3"}, kAllow, std::nullopt, {});
      return;
    }
    allow_if("clone", {masked(0, kNamespaceFlags, 0)});
    refuse_if("clone3", ENOSYS, {});  // its flags lie behind a pointer; C libraries then use clone
  }

  // Families are compared as 64 bits although the kernel reads 32 of them: whatever has more bits
  // matches nothing and is denied. Comparisons that deny must therefore mask.
  void sockets() {
    for (const char* call : {"socket", "socketpair"}) allow_if(call, {equals(0, kFamilyUnix)});
    for (const std::uint64_t protocol : kRareProtocols)
      refuse_if("socket", EPROTONOSUPPORT, {masked(2, kLowWord, protocol)});
    for (const std::uint64_t family : {kFamilyInet, kFamilyInet6}) {
      allow_if("socket", {equals(0, family), masked(1, kTypeMask, kTypeStream)});
      allow_if("socket", {equals(0, family), masked(1, kTypeMask, kTypeDatagram)});
      if (has("CAP_NET_RAW"))
        allow_if("socket", {equals(0, family), masked(1, kTypeMask, kTypeRaw)});
    }
    if (has("CAP_NET_RAW")) allow_if("socket", {equals(0, kFamilyPacket)});
    netlink(kNetlinkOpen);
    if (has("CAP_NET_ADMIN")) netlink(kNetlinkNetAdmin);
    // Without the capability the audit library must believe that the kernel has no auditing:
    // otherwise su, useradd and sshd refuse to work.
    if (has("CAP_AUDIT_WRITE"))
      allow_if("socket", {equals(0, kFamilyNetlink), equals(2, kNetlinkAudit)});
    else
      refuse_if("socket", EPROTONOSUPPORT, {equals(0, kFamilyNetlink), equals(2, kNetlinkAudit)});
  }
  void netlink(std::span<const std::uint64_t> protocols) {
    for (const std::uint64_t protocol : protocols)
      allow_if("socket", {equals(0, kFamilyNetlink), equals(2, protocol)});
  }

  std::span<const std::string> granted_;
  oci::Seccomp profile_;
};

}  // namespace

oci::Seccomp default_profile(std::span<const std::string> granted) {
  return Writer(granted).write();
}

std::span<const DeniedGroup> denied_groups() { return kDeniedGroups; }

}  // namespace bulkhead::isolation::seccomp
