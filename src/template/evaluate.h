// A template carried out over a value.
#pragma once

#include <string>

#include "base/result.h"
#include "json/value.h"
#include "template/tree.h"

namespace bulkhead::templates {

enum class Mode {
  kValues,
  kHeaders,  // the value's members are the headers of a table
};

// Bounds for templates that would print without end: ranges within ranges.
inline constexpr std::size_t kMostOutput = 64 << 20;  // bytes
inline constexpr std::size_t kMostSteps = 20'000'000;

Result<std::string> evaluate(const Tree& tree, const json::Value& value, Mode mode);

}  // namespace bulkhead::templates
