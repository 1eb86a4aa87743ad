// Columns as Docker prints them: as wide as their widest cell, three spaces between.
#pragma once

#include <string>
#include <vector>

namespace bulkhead::cli::engine {

using TableRow = std::vector<std::string>;

// Characters count, not bytes. What came from images is made printable.
std::string as_table(const std::vector<TableRow>& rows);

// Control characters and what is not UTF-8 replaced: nothing that an image says steers a terminal.
std::string printable(std::string_view text);

}  // namespace bulkhead::cli::engine
