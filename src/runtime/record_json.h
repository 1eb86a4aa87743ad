// state.json as text.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

std::string encode_record(const Record& record);
Result<Record> decode_record(std::string_view text);

}  // namespace bulkhead::runtime
