// From the value types of spec.h to JSON text. What is absent is left out, so that
// decode_spec(encode(spec)) is the same spec; unknown fields are not kept.
#pragma once

#include <string>

#include "json/writer.h"
#include "oci/spec.h"

namespace bulkhead::oci {

std::string encode(const Spec& spec, json::Style style = json::Style::kCompact);
std::string encode(const Process& process, json::Style style = json::Style::kCompact);
std::string encode(const Resources& resources, json::Style style = json::Style::kCompact);

}  // namespace bulkhead::oci
