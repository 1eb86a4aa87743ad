#include "storage/tree_record.h"

#include "base/text.h"
#include "storage/layout.h"
#include "storage/record.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kFirstLine = "bulkhead tree record 1";
constexpr std::size_t kLargest = 4096;

}  // namespace

std::string encode(const TreeRecord& record) {
  std::string text(kFirstLine);
  text.append("\nentries ").append(std::to_string(record.entries));
  text.append("\nbytes ").append(std::to_string(record.bytes));
  text.append("\ndigest ").append(record.digest).append("\n");
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
  if (!entries || !bytes || !is_hex_digest(digest) || !text.empty()) return malformed();
  return TreeRecord{*entries, *bytes, std::string(digest)};
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
