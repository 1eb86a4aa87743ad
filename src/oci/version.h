// Versions of the specification.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::oci {

// The newest version whose fields this build knows, and what it writes into its own documents.
inline constexpr std::string_view kSpecVersion = "1.3.0";
inline constexpr std::string_view kOldestSpecVersion = "1.0.0";
inline constexpr std::uint32_t kNewestMinorVersion = 3;

struct Version {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t patch = 0;
};

// Semantic Versioning 2.0.0; pre-release and build parts are checked and dropped.
std::optional<Version> parse_version(std::string_view text);

}  // namespace bulkhead::oci
