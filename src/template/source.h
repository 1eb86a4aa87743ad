// The text of a template, and errors that say where in it something is wrong.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::templates {

// "template, column 12: WHAT"; with the line in front of the column when there are several.
Error error_at(std::string_view source, std::size_t offset, std::string what,
               std::string hint = {});

}  // namespace bulkhead::templates
