// Enumerations and their names in the documents.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "oci/spec.h"

namespace bulkhead::oci {

inline constexpr std::array<std::string_view, kNamespaceTypeCount> kNamespaceNames = {
    "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"};

// "network" for kNetwork.
inline constexpr std::string_view name_of(NamespaceType type) {
  return kNamespaceNames[static_cast<std::size_t>(type)];
}

inline constexpr std::optional<NamespaceType> namespace_type_of(std::string_view name) {
  for (std::size_t i = 0; i < kNamespaceNames.size(); ++i) {
    if (kNamespaceNames[i] == name) return static_cast<NamespaceType>(i);
  }
  return std::nullopt;
}

}  // namespace bulkhead::oci
