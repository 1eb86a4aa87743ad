#include "template/source.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::templates {

Error error_at(std::string_view source, std::size_t offset, std::string what, std::string hint) {
  offset = std::min(offset, source.size());
  const std::string_view before = source.substr(0, offset);
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t begin =
      before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  // Columns are characters: what a terminal shows.
  std::size_t column = 1;
  for (std::size_t at = begin; at < offset; ++column) {
    const std::size_t length = utf8_length(source.substr(at));
    at += length == 0 ? 1 : length;
  }
  std::string place = "template, ";
  if (source.find('\n') != std::string_view::npos) place += "line " + std::to_string(line) + ", ";
  place += "column " + std::to_string(column) + ": ";
  return Error(ErrorKind::kUsage, place + what, std::move(hint));
}

}  // namespace bulkhead::templates
