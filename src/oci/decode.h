// From JSON text to the value types of spec.h. Types and ranges are checked here; what the values
// may be is validate.h's affair. Errors name the JSON pointer of the field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::oci {

// A whole config.json. Fields that this build does not know are listed in Spec::unknown_fields (at
// most 256 of them).
Result<Spec> decode_spec(std::string_view text);

// A process object alone, as `exec --process` reads it, and a resources object alone, as
// `update --resources` reads it. `unknown_fields`, when given, receives what was not known.
Result<Process> decode_process(std::string_view text,
                               std::vector<std::string>* unknown_fields = nullptr);
Result<Resources> decode_resources(std::string_view text,
                                   std::vector<std::string>* unknown_fields = nullptr);

}  // namespace bulkhead::oci
