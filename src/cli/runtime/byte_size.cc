#include "cli/runtime/byte_size.h"

#include "base/text.h"

namespace bulkhead::cli {
namespace {

// The power of two of a unit: "" and "b" are 0, "k", "kb" and "kib" 10, …
std::optional<unsigned> shift_of(std::string_view unit) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  if (unit.empty() || (unit.size() == 1 && lower(unit[0]) == 'b')) return 0;
  const std::size_t power = std::string_view("kmgtp").find(lower(unit[0]));
  if (power == std::string_view::npos) return std::nullopt;
  unit.remove_prefix(1);
  if (!unit.empty() && lower(unit.front()) == 'i') unit.remove_prefix(1);
  if (!unit.empty() && lower(unit.front()) == 'b') unit.remove_prefix(1);
  if (!unit.empty()) return std::nullopt;
  return static_cast<unsigned>(10 * (power + 1));
}

}  // namespace

std::optional<std::int64_t> parse_byte_size(std::string_view text) {
  if (text == "-1") return -1;
  const std::size_t number_end = text.find_first_not_of("0123456789.");
  std::string_view rest = text.substr(0, number_end);
  std::string_view unit =
      number_end == std::string_view::npos ? std::string_view() : text.substr(number_end);
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto shift = shift_of(unit);
  const bool has_fraction = rest.find('.') != std::string_view::npos;
  const auto whole = parse_number<std::uint64_t>(next_field(rest, '.'));
  if (!shift || !whole || *whole > static_cast<std::uint64_t>(INT64_MAX) >> *shift)
    return std::nullopt;
  std::uint64_t bytes = *whole << *shift;
  if (has_fraction) {
    // Nine digits tell a byte of a gibibyte; more would overflow the product.
    const auto fraction = parse_number<std::uint64_t>(rest.substr(0, 9));
    if (!fraction || rest.find_first_not_of("0123456789") != std::string_view::npos)
      return std::nullopt;
    double part = static_cast<double>(*fraction);
    for (std::size_t i = 0; i < rest.size() && i < 9; ++i) part /= 10;
    bytes += static_cast<std::uint64_t>(part * static_cast<double>(std::uint64_t{1} << *shift));
    if (bytes > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace bulkhead::cli
