// The parent half of AppArmor: what the kernel says of a profile, and how the one that Bulkhead ships
// gets into it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "isolation/host_facts.h"
#include "oci/spec.h"

namespace bulkhead::isolation {

inline constexpr std::string_view kDefaultAppArmorProfileName = "bulkhead-default";

// Where things are; tests name others.
struct AppArmorPaths {
  std::string loaded_profiles = "/sys/kernel/security/apparmor/profiles";
  std::string parser = "/sbin/apparmor_parser";
  std::string profile;  // the file of the default profile (share/apparmor/bulkhead-default)
};

// The mode of a profile ("enforce", "complain", ...) by the kernel's list; empty when it is not there.
Result<std::string> profile_mode(std::string_view name, const AppArmorPaths& paths);

// For HostFacts::apparmor_mode: the mode of the profile that the spec names. Empty where none is named
// or the list cannot be read (no securityfs, no privilege).
std::string mode_of_wanted_profile(const oci::Spec& spec, const HostFacts& host,
                                   const AppArmorPaths& paths = {});

// Loads the default profile unless it is loaded. Needs root and apparmor_parser; the error says
// what was missing, and the caller leaves the default out with a warning.
Result<void> load_default_profile(const AppArmorPaths& paths);

}  // namespace bulkhead::isolation
