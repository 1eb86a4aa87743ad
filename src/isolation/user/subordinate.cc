#include "isolation/user/subordinate.h"

#include <fcntl.h>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

Result<std::string> read_if_there(const char* path) {
  const auto file = open_at(AT_FDCWD, path, O_RDONLY);
  if (!file && file.error().error == ENOENT) return std::string();
  if (!file) return std::unexpected(Error(file.error()));
  constexpr std::size_t kLimit = 16 << 20;
  return read_fd(file->get(), kLimit);
}

}  // namespace

std::vector<SubordinateRange> parse_subordinate_ranges(std::string_view text) {
  std::vector<SubordinateRange> ranges;
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    const std::string_view owner = next_field(line, ':');
    const auto first = parse_number<std::uint32_t>(next_field(line, ':'));
    const auto count = parse_number<std::uint32_t>(line);
    if (owner.empty() || owner.front() == '#' || !first || !count || *count == 0) continue;
    ranges.push_back({std::string(owner), {*first, *count}});
  }
  return ranges;
}

Result<std::vector<SubordinateRange>> read_subordinate_ranges(const char* path) {
  auto text = read_if_there(path);
  if (!text) return std::unexpected(std::move(text).error().within(path));
  return parse_subordinate_ranges(*text);
}

std::string user_name_of(std::uint32_t uid) {
  const auto passwd = read_if_there("/etc/passwd");
  if (!passwd) return {};
  std::string_view text = *passwd;
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    const std::string_view name = next_field(line, ':');
    next_field(line, ':');
    if (parse_number<std::uint32_t>(next_field(line, ':')) == uid) return std::string(name);
  }
  return {};
}

}  // namespace bulkhead::isolation
