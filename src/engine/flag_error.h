// How the value of a flag is refused: the flag, the value, why, and what to do.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/text.h"

namespace bulkhead::engine {

inline std::unexpected<Error> refuse_flag(std::string_view flag, std::string_view value,
                                          std::string_view why, std::string hint = {}) {
  return fail(ErrorKind::kUsage, std::string(flag) + " " + quoted(value) + ": " + std::string(why),
              std::move(hint));
}

// A path of the container: absolute, and without "..", which could only be a mistake or a trick.
Result<void> check_container_path(std::string_view flag, std::string_view path);

}  // namespace bulkhead::engine
