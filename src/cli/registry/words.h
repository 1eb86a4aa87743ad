// The words that bulkhead gives to bulkhead-registry: "--name=value", and names of images or
// registries.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli {

struct RegistryWords {
  std::string verb;
  std::map<std::string, std::string, std::less<>> options;
  std::vector<std::string> names;

  bool has(std::string_view option) const { return options.contains(option); }
  std::string value(std::string_view option) const {
    const auto at = options.find(option);
    return at == options.end() ? std::string() : at->second;
  }
};

// kUsage for an option that is not in `known`.
Result<RegistryWords> parse_registry_words(const std::vector<std::string>& words,
                                           const std::vector<std::string_view>& known);

}  // namespace bulkhead::cli
