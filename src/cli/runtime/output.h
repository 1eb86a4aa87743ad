// Text to standard output and standard error by write(2): the program has no stdio on its way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli {

// kSystem when standard output does not take it (a full disk, a closed pipe): an answer that got
// lost is not a success.
Result<void> print(std::string_view text);
void print_error(std::string_view text);

// Rows of cells in columns, each as wide as its widest cell and `gap` spaces more. The cells come
// from containers and are escaped for the terminal.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace bulkhead::cli
