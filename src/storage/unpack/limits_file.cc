#include "storage/unpack/limits_file.h"

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostBytes = 64 << 10;

struct Key {
  std::string_view name;
  std::uint64_t ExtractLimits::* value;
};
constexpr Key kKeys[] = {
    {"entries", &ExtractLimits::entries},
    {"bytes", &ExtractLimits::bytes},
    {"ratio", &ExtractLimits::ratio},
};

}  // namespace

Result<ExtractLimits> parse_limits(std::string_view text, const std::string& file) {
  ExtractLimits limits;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto wrong = [&](const std::string& what) {
      return fail(ErrorKind::kInvalid, file + ", line " + std::to_string(number) + ": " + what,
                  "a line is KEY = NUMBER; the keys are entries, bytes and ratio");
    };
    std::string_view line = next_field(text, '\n');
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    std::string_view value = line;
    const std::string_view name = trim(next_field(value, '='));
    const auto* const key = std::ranges::find(kKeys, name, &Key::name);
    if (key == std::end(kKeys)) return wrong("no such limit: " + quoted(name));
    std::string digits(trim(value));
    std::erase(digits, '_');
    const auto limit = parse_number<std::uint64_t>(digits);
    // With more, sums of it could not be told from small numbers.
    if (!limit || *limit == 0 || *limit > std::uint64_t{1} << 60)
      return wrong(quoted(trim(value)) + " is no number from 1 to 2^60");
    limits.*key->value = *limit;
  }
  return limits;
}

Result<ExtractLimits> read_limits(const std::string& file) {
  const auto opened = open_at(AT_FDCWD, file.c_str(), O_RDONLY | O_NONBLOCK);
  if (!opened) {
    if (opened.error().error == ENOENT) return ExtractLimits{};
    return std::unexpected(Error(opened.error()).within("the limits of layers"));
  }
  auto text = read_fd(opened->get(), kMostBytes);
  if (!text) return std::unexpected(std::move(text).error().within(file));
  return parse_limits(*text, file);
}

}  // namespace bulkhead::storage
