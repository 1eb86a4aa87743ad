// --filter of `bulkhead events`: values of one key are alternatives, keys add up; of labels all must be
// there.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "events/event.h"

namespace bulkhead::cli::engine {

class EventFilter {
 public:
  // "container=NAME|ID", "event=ACTION", "image=NAME", "label=KEY[=VALUE]", "scope=local",
  // "type=container|image|volume", "volume=NAME". kUsage.
  static Result<EventFilter> read(const std::vector<std::string>& words);
  bool matches(const events::Event& event) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> wanted_;
};

}  // namespace bulkhead::cli::engine
