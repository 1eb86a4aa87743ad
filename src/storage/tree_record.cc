#include "storage/tree_record.h"

#include "base/text.h"
#include "storage/layout.h"
#include "storage/record.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kFirstLine = "bulkhead tree record 1";
constexpr std::size_t kLargest = 4096 + kMostImpliedBytes;

}  // namespace

bool is_layer_path(std::string_view path) {
  if (path.empty()) return true;
  if (path.size() > 4095 || path.contains('\0')) return false;
  for (const std::string_view name : split(path, '/'))
    if (name.empty() || name == "." || name == "..") return false;
  return true;
}

std::string encode(const TreeRecord& record) {
  std::string text(kFirstLine);
  text.append("\nentries ").append(std::to_string(record.entries));
  text.append("\nbytes ").append(std::to_string(record.bytes));
  text.append("\ndigest ").append(record.digest).append("\n");
  if (record.implied.empty()) return text;
  text.append("implied ").append(std::to_string(record.implied.size())).append("\n");
  for (const std::string& path : record.implied) text.append(path).push_back('\0');
  return text;
}

Result<TreeRecord> decode_tree_record(std::string_view text) {
  const auto malformed = [] { return fail(ErrorKind::kInvalid, "malformed tree record"); };
  if (next_field(text, '\n') != kFirstLine) return malformed();
  const auto take = [&](std::string_view name) -> std::string_view {
    std::string_view line = next_field(text, '\n');
    return next_field(line, ' ') == name ? line : std::string_view();
  };
  const auto entries = parse_number<std::uint64_t>(take("entries"));
  const auto bytes = parse_number<std::uint64_t>(take("bytes"));
  const std::string_view digest = take("digest");
  if (!entries || !bytes || !is_hex_digest(digest)) return malformed();
  TreeRecord record{*entries, *bytes, std::string(digest)};
  if (text.empty()) return record;
  const auto count = parse_number<std::size_t>(take("implied"));
  while (!text.empty()) {
    if (!text.ends_with('\0')) return malformed();
    const std::string_view path = next_field(text, '\0');
    if (!is_layer_path(path)) return malformed();
    record.implied.emplace_back(path);
  }
  if (count != record.implied.size()) return malformed();
  return record;
}

Result<std::optional<TreeRecord>> read_tree_record(int store, std::string_view diff_id) {
  auto text = read_file_at(store, tree_path(diff_id).c_str(), kLargest);
  if (!text) {
    if (text.error().kind() == ErrorKind::kNotFound) return std::nullopt;
    return std::unexpected(std::move(text).error());
  }
  auto record = decode_tree_record(*text);
  if (!record) return std::nullopt;
  return *std::move(record);
}

}  // namespace bulkhead::storage
