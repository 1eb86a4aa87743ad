#include "storage/unpack/worker_report.h"

#include "base/text.h"

namespace bulkhead::storage {
namespace {

// Each record: a letter, its text, NUL. Neither paths nor messages contain one.
constexpr char kNumbers = 'N';
constexpr char kDigests = 'D';
constexpr char kTree = 'T';
constexpr char kImplied = 'I';
constexpr char kMessage = 'E';
constexpr char kHint = 'H';
constexpr char kSystemMessage = 'S';  // no fault of the layer's
constexpr std::size_t kMostText = 4096;

void append(std::string& out, char letter, std::string_view text) {
  out += letter;
  for (const char c : text) out += c == '\0' ? ' ' : c;
  out += '\0';
}

// What a worker wrote must not steer a terminal.
std::string made_printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMostText))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  return out;
}

}  // namespace

std::string encode_report(const ExtractReport& report) {
  std::string out;
  append(out, kNumbers,
         std::to_string(report.entries) + " " + std::to_string(report.bytes) + " " +
             std::to_string(report.skipped_devices) + " " +
             std::to_string(report.skipped_attributes));
  if (!report.digest.empty()) append(out, kDigests, report.digest + " " + report.diff_id);
  if (!report.tree.digest.empty())
    append(out, kTree,
           std::to_string(report.tree.entries) + " " + std::to_string(report.tree.bytes) + " " +
               report.tree.digest);
  for (const std::string& path : report.tree.implied) append(out, kImplied, path);
  return out;
}

std::string encode_failure(const Error& error) {
  std::string out;
  if (!error.hint().empty()) append(out, kHint, error.hint());
  append(out, error.kind() == ErrorKind::kInvalid ? kMessage : kSystemMessage, error.message());
  return out;
}

Result<ExtractReport> decode_report(std::string_view text) {
  const auto malformed = [] {
    return fail(ErrorKind::kInvalid, "an unpacking process said something that it cannot mean",
                "the layer is damaged or hostile");
  };
  ExtractReport report;
  std::string hint;
  std::size_t implied_bytes = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos || end == 0) return malformed();
    std::string_view value = text.substr(1, end - 1);
    const char letter = text.front();
    text.remove_prefix(end + 1);
    switch (letter) {
      case kNumbers: {
        const auto entries = parse_number<std::uint64_t>(next_field(value, ' '));
        const auto bytes = parse_number<std::uint64_t>(next_field(value, ' '));
        const auto devices = parse_number<std::uint64_t>(next_field(value, ' '));
        const auto attributes = parse_number<std::uint64_t>(value);
        if (!entries || !bytes || !devices || !attributes) return malformed();
        report.entries = *entries;
        report.bytes = *bytes;
        report.skipped_devices = *devices;
        report.skipped_attributes = *attributes;
        break;
      }
      case kDigests:
        report.digest = next_field(value, ' ');
        report.diff_id = value;
        if (report.digest.size() != 64 || report.diff_id.size() != 64) return malformed();
        break;
      case kTree: {
        const auto entries = parse_number<std::uint64_t>(next_field(value, ' '));
        const auto bytes = parse_number<std::uint64_t>(next_field(value, ' '));
        if (!entries || !bytes || value.size() != 64) return malformed();
        report.tree.entries = *entries;
        report.tree.bytes = *bytes;
        report.tree.digest = value;
        break;
      }
      case kImplied:
        implied_bytes += value.size() + 1;
        if (!is_layer_path(value) || implied_bytes > kMostImpliedBytes) return malformed();
        report.tree.implied.emplace_back(value);
        break;
      case kHint: hint = made_printable(value); break;
      case kMessage: return fail(ErrorKind::kInvalid, made_printable(value), hint);
      case kSystemMessage: return fail(ErrorKind::kSystem, made_printable(value), hint);
      default: return malformed();
    }
  }
  return report;
}

}  // namespace bulkhead::storage
