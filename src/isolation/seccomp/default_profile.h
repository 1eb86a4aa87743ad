// The profile of `bulkhead run`: an allow-list, stricter than Docker's, that common programs run
// under (shells, package managers, language runtimes, web servers, databases).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "oci/spec.h"

namespace bulkhead::isolation::seccomp {

// `granted`: names of the capabilities that the container gets ("CAP_NET_RAW"). A capability opens
// the calls that are of no use without it.
oci::Seccomp default_profile(std::span<const std::string> granted);

// What the default profile denies unless a capability opens it, and why; explain tells of any
// profile how it treats these.
struct DeniedGroup {
  std::string_view title;
  std::string_view reason;
  std::span<const std::string_view> calls;
};
std::span<const DeniedGroup> denied_groups();

}  // namespace bulkhead::isolation::seccomp
