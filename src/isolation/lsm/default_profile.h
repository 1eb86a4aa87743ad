// The AppArmor profile that Bulkhead ships, and the parent half that gets it into the kernel.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::isolation {

inline constexpr std::string_view kDefaultAppArmorProfileName = "bulkhead-default";

// Where things are; tests name others.
struct AppArmorPaths {
  std::string loaded_profiles = "/sys/kernel/security/apparmor/profiles";
  std::string parser = "/sbin/apparmor_parser";
  std::string profile;  // the file of the default profile (share/apparmor/bulkhead-default)
};

// Whether the kernel has the profile ("name (mode)" in its list).
Result<bool> is_profile_loaded(std::string_view name, const AppArmorPaths& paths);

// Loads the default profile unless it is loaded. Needs root and apparmor_parser; the error says
// what was missing, and the caller leaves the default out with a warning.
Result<void> load_default_profile(const AppArmorPaths& paths);

}  // namespace bulkhead::isolation
