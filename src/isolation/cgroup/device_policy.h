// Which devices a container may read, write and make: the specification's ordered list of rules as
// a value, and its two translations, one for cgroup v1 and one (device_program.h) for cgroup v2.
//
// Meaning: of each access that is asked for (read, write, mknod) the last rule that names the
// device and that access decides; a request is allowed when all its accesses are. No rule: denied.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::isolation::cgroup {

// The kernel's own numbers (BPF_DEVCG_ACC_*).
inline constexpr std::uint8_t kMknod = 1;
inline constexpr std::uint8_t kRead = 2;
inline constexpr std::uint8_t kWrite = 4;
inline constexpr std::uint8_t kEveryAccess = kMknod | kRead | kWrite;

enum class DeviceType : std::uint8_t { kAny = 0, kBlock = 1, kCharacter = 2 };  // BPF_DEVCG_DEV_*

// A set of devices, and accesses to them. An absent number is every number.
struct DeviceSet {
  DeviceType type = DeviceType::kAny;
  std::optional<std::uint32_t> major;
  std::optional<std::uint32_t> minor;
  std::uint8_t access = kEveryAccess;

  bool covers(const DeviceSet& other) const;      // all of its devices; accesses aside
  bool intersects(const DeviceSet& other) const;  // some device of it; accesses aside
  bool everything() const {
    return type == DeviceType::kAny && !major && !minor && access == kEveryAccess;
  }
  std::string text() const;  // "c 1:3 rwm", as the v1 files take it
  bool operator==(const DeviceSet&) const = default;
};

struct DevicePolicyRule {
  bool allow = false;
  DeviceSet devices;
  bool operator==(const DevicePolicyRule&) const = default;
};

struct DevicePolicy {
  std::vector<DevicePolicyRule> rules;  // in order; the last match decides

  bool allows(const DeviceSet& one_device) const;
};

// The spec's rules, with the devices that every container has after them: null, zero, full, random,
// urandom, tty, ptmx and the pseudo-terminals, and the making (not the opening) of any node.
// `where` is the list's place in the configuration, for errors.
Result<DevicePolicy> device_policy(std::span<const oci::DeviceRule> rules, std::string_view where);

// What cgroup v1 can say: everything but the exceptions, or the exceptions alone.
struct DeviceListV1 {
  bool allow_by_default = false;
  std::vector<DeviceSet> exceptions;
};

// Nothing when v1 cannot express the policy: a rule carves a piece out of an earlier, wider one.
std::optional<DeviceListV1> to_v1_list(const DevicePolicy& policy);

}  // namespace bulkhead::isolation::cgroup
