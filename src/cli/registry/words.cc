#include "cli/registry/words.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::cli {

Result<RegistryWords> parse_registry_words(const std::vector<std::string>& words,
                                           const std::vector<std::string_view>& known) {
  RegistryWords parsed;
  if (words.empty()) return fail(ErrorKind::kUsage, "bulkhead-registry is executed by bulkhead");
  parsed.verb = words.front();
  for (std::size_t i = 1; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (!word.starts_with("--")) {
      parsed.names.emplace_back(word);
      continue;
    }
    word.remove_prefix(2);
    const std::string_view name = word.substr(0, word.find('='));
    if (std::ranges::find(known, name) == known.end())
      return fail(ErrorKind::kUsage, "there is no option " + quoted(name));
    parsed.options.emplace(
        name, word.size() > name.size() ? word.substr(name.size() + 1) : std::string_view());
  }
  return parsed;
}

}  // namespace bulkhead::cli
