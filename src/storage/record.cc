#include "storage/record.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kFirstLine = "bulkhead image record 2";
constexpr std::size_t kMostLayers = 500;  // what overlayfs stacks

void line(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ' ';
  out += value;
  out += '\n';
}

template <class Number>
bool take_number(std::string_view& rest, Number& into) {
  const auto number = parse_number<Number>(next_field(rest, ' '));
  if (number) into = *number;
  return number.has_value();
}

bool take_identity(std::string_view rest, SourceIdentity& into) {
  return take_number(rest, into.device) && take_number(rest, into.inode) &&
         take_number(rest, into.size) && take_number(rest, into.changed_seconds) &&
         take_number(rest, into.changed_nanoseconds) && rest.empty();
}

bool is_time(std::string_view text) {
  return !text.empty() && text.size() <= 40 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || std::string_view("TZtz:.+-").find(c) != std::string_view::npos;
  });
}

}  // namespace

bool is_hex_digest(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

SourceIdentity SourceIdentity::of(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
}

std::string encode(const ImageRecord& record) {
  std::string out;
  const std::string_view key = record.key;
  const SourceIdentity& identity = record.identity;
  out += kFirstLine;
  out += '\n';
  if (!key.empty()) {
    line(out, "path", key.substr(0, key.find('\n')));
    line(out, "reference", key.substr(key.find('\n') + 1));
    line(out, "identity",
         std::to_string(identity.device) + " " + std::to_string(identity.inode) + " " +
             std::to_string(identity.size) + " " + std::to_string(identity.changed_seconds) + " " +
             std::to_string(identity.changed_nanoseconds));
  }
  line(out, "manifest", record.manifest_digest);
  line(out, "config", record.config_digest);
  // An image may say anything: what is no time is none.
  if (is_time(record.created)) line(out, "created", record.created);
  line(out, "bytes", std::to_string(record.size));
  for (const std::string& layer : record.layers) line(out, "layer", layer);
  for (const std::string& blob : record.blobs) line(out, "blob", blob);
  if (!record.implied.empty()) line(out, "implied", record.implied);
  line(out, "size", std::to_string(record.config.size()));
  out += record.config;
  return out;
}

Result<ImageRecord> decode_record(std::string_view text) {
  const auto malformed = [](std::string_view what) {
    return fail(ErrorKind::kInvalid, "image record: " + std::string(what));
  };
  // The value of the next line, which has to be of that name: each line has its place.
  const auto next = [&](std::string_view name) -> std::optional<std::string_view> {
    const std::size_t end = text.find('\n');
    std::string_view value = text.substr(0, end);
    if (end == std::string_view::npos || !value.contains(' ') || next_field(value, ' ') != name)
      return std::nullopt;
    text.remove_prefix(end + 1);
    return value;
  };
  if (next_field(text, '\n') != kFirstLine) return malformed("written by another version");
  ImageRecord record;
  if (text.starts_with("path ")) {
    const auto path = next("path");
    const auto reference = next("reference");
    if (!path || path->empty() || !reference) return malformed("path and reference");
    record.key.append(*path).append("\n").append(*reference);
    const auto identity = next("identity");
    if (!identity || !take_identity(*identity, record.identity)) return malformed("identity");
  }
  const auto manifest = next("manifest");
  const auto config = next("config");
  if (!manifest || !is_hex_digest(*manifest)) return malformed("manifest");
  if (!config || !is_hex_digest(*config)) return malformed("config");
  record.manifest_digest = *manifest;
  record.config_digest = *config;
  if (text.starts_with("created ")) {
    const auto created = next("created");
    if (!created || !is_time(*created)) return malformed("created");
    record.created = *created;
  }
  const auto bytes = next("bytes");
  const auto count = bytes ? parse_number<std::uint64_t>(*bytes) : std::nullopt;
  if (!count) return malformed("bytes");
  record.size = *count;
  const auto take_digests = [&](std::string_view name, std::vector<std::string>& list) {
    while (const auto digest = next(name)) {
      if (!is_hex_digest(*digest) || list.size() == kMostLayers) return false;
      list.emplace_back(*digest);
    }
    return true;
  };
  if (!take_digests("layer", record.layers)) return malformed("layer");
  if (!take_digests("blob", record.blobs)) return malformed("blob");
  if (!record.blobs.empty() && record.blobs.size() != record.layers.size())
    return malformed("not one blob for each layer");
  if (text.starts_with("implied ")) {
    const auto implied = next("implied");
    if (!implied || !is_hex_digest(*implied)) return malformed("implied");
    record.implied = *implied;
  }
  const auto size = next("size");
  if (!size || parse_number<std::size_t>(*size) != text.size()) return malformed("size");
  record.config = text;
  return record;
}

std::string record_file_name(std::string_view key) {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  std::string name(16, '0');
  for (int i = 15; i >= 0; --i, hash >>= 4)
    name[static_cast<std::size_t>(i)] = "0123456789abcdef"[hash & 15];
  return name;
}

}  // namespace bulkhead::storage
