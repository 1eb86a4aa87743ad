// The rows of `ps`: which containers, and how they are written.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/containers.h"

namespace bulkhead::cli::engine {

// --filter: all keys must match, and of the values of one key any.
class ContainerFilter {
 public:
  static Result<ContainerFilter> read(std::span<const std::string> filters);
  // Of before= and since=: the containers that they name, of all that there are. Before matches().
  Result<void> look_up(std::span<const bulkhead::engine::ListedContainer> all);
  bool matches(const bulkhead::engine::ListedContainer& container) const;
  // Then containers that do not run are meant, too.
  bool names_status() const;

 private:
  bool matches_one(const bulkhead::engine::ListedContainer& container, std::string_view key,
                   std::string_view value) const;
  std::vector<std::pair<std::string, std::string>> wanted_;
  std::map<std::string, std::string> bounds_;  // when the named containers were made
};

// "Up 3 minutes", "Exited (0) 5 seconds ago".
std::string status_text(const bulkhead::engine::ListedContainer& container, std::int64_t now);

// `format`: "table", "table TEMPLATE", "json" or a template.
Result<std::string> format_rows(std::span<const bulkhead::engine::ListedContainer> containers,
                                std::string_view format, bool full);

}  // namespace bulkhead::cli::engine
