#include "cli/runtime/output.h"

#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

// As it is when it is harmless, else with escapes but without the quotation marks.
std::string cell_text(std::string_view text) {
  std::string escaped = quoted(text, 4096);
  if (escaped.size() >= 2 && escaped.ends_with('"')) return escaped.substr(1, escaped.size() - 2);
  return escaped.substr(1);
}

}  // namespace

Result<void> print(std::string_view text) {
  if (auto written = write_all(STDOUT_FILENO, text.data(), text.size()); !written)
    return std::unexpected(Error(written.error()).within("standard output"));
  return {};
}

void print_error(std::string_view text) {
  (void)write_all(STDERR_FILENO, text.data(), text.size());
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  constexpr std::size_t kGap = 3;
  std::vector<std::vector<std::string>> cells;
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    auto& line = cells.emplace_back();
    for (const std::string& text : row) {
      line.push_back(cell_text(text));
      if (widths.size() < line.size()) widths.push_back(0);
      widths[line.size() - 1] = std::max(widths[line.size() - 1], line.back().size());
    }
  }
  std::string out;
  for (const auto& line : cells) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      out += line[i];
      if (i + 1 < line.size()) out.append(widths[i] + kGap - line[i].size(), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace bulkhead::cli
