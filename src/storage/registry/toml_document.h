// TOML as values of our own: the only includer of the TOML library is toml_document.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

struct TomlValue;
using TomlTable = std::map<std::string, TomlValue, std::less<>>;
using TomlArray = std::vector<TomlValue>;

struct TomlValue {
  // Numbers with a fraction, dates and times have no use here and are kinds of nothing.
  std::variant<std::monostate, bool, std::int64_t, std::string, TomlArray, TomlTable> value;
  unsigned line = 0;
};

// kInvalid: "FILE, line N: what is wrong".
Result<TomlTable> parse_toml(std::string_view text, const std::string& file);

}  // namespace bulkhead::storage
