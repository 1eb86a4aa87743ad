// As much of TOML as it takes to add lines to people's configuration files: where the tables and keys of a
// text stand, and blocks between marks that go in and come out without a trace.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::engine {

struct TomlStatement {
  enum class Kind { kTable, kArrayOfTables, kKey };
  Kind kind = Kind::kKey;
  std::vector<std::string> path;  // of a key: with its table's
  std::size_t table_size = 0;     // how much of the path is the table's, for a key
  std::string_view value;         // of a key, as it is written
  std::size_t line = 0;           // from 1
  std::size_t end = 0;            // offset behind its last line
};

// kInvalid names the line. What TOML forbids beyond the form of its statements is not looked for.
Result<std::vector<TomlStatement>> scan_toml(std::string_view text);

// Keys of one table, to be added.
struct TomlAddition {
  std::vector<std::string> table;
  std::vector<std::pair<std::string, std::string>> keys;  // name (bare), value as it is written
};

// The additions, each where its table stands, or behind everything; kExists names a key that is there.
Result<std::string> with_additions(std::string_view text,
                                   const std::vector<TomlAddition>& additions);
// Every block that with_additions put in taken out, to the byte.
Result<std::string> without_additions(std::string_view text);
// The lines of the blocks alone.
Result<std::string> additions_in(std::string_view text);

// The additions as a text of their own.
std::string as_toml(const std::vector<TomlAddition>& additions);

}  // namespace bulkhead::engine
