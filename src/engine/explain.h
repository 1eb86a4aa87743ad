// `bulkhead explain run`: what would be done, layer by layer, and what stays open.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "isolation/layer.h"

namespace bulkhead::engine {

struct ExplainedLayer {
  std::string_view name;
  const isolation::Card* card = nullptr;
  isolation::Explanation explanation;
};

struct ExplainedRun {
  std::string image;
  std::vector<std::string> arguments;
  std::string user;                    // "1000:1000"
  std::vector<ExplainedLayer> layers;  // in the order in which they are applied
  std::vector<std::string> not_isolated;
  std::vector<std::string> warnings;
  std::vector<std::string> forbidden;  // what the host's policy has against it
};

// The same plan that run() would carry out, without carrying it out. Brings the image into the store
// when it is not there yet.
Result<ExplainedRun> explain_run(const RunOptions& options);

std::string explain_as_text(const ExplainedRun& run);
std::string explain_as_json(const ExplainedRun& run);

// "applied", "not applicable", "left out", "opened".
std::string_view name_of(isolation::Standing standing);

}  // namespace bulkhead::engine
