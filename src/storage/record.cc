#include "storage/record.h"

#include <algorithm>

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
  line(out, "size", std::to_string(record.config.size()));
  out += record.config;
  return out;
}

Result<ImageRecord> decode_record(std::string_view text) {
  const auto malformed = [](std::string_view what) {
    return fail(ErrorKind::kInvalid, "image record: " + std::string(what));
  };
  if (next_field(text, '\n') != kFirstLine) return malformed("written by another version");
  ImageRecord record;
  for (;;) {
    if (text.empty()) return malformed("cut short");
    std::string_view value = next_field(text, '\n');
    const std::string_view name = next_field(value, ' ');
    if (name == "path") {
      record.key.append(value).push_back('\n');
    } else if (name == "reference") {
      record.key.append(value);
    } else if (name == "identity") {
      if (!take_identity(value, record.identity)) return malformed("identity");
    } else if (name == "created") {
      if (!is_time(value)) return malformed("created");
      record.created = value;
    } else if (name == "bytes") {
      const auto bytes = parse_number<std::uint64_t>(value);
      if (!bytes) return malformed("bytes");
      record.size = *bytes;
    } else if (std::string* const digest = name == "manifest" ? &record.manifest_digest
                                           : name == "config" ? &record.config_digest
                                                              : nullptr) {
      if (!is_hex_digest(value)) return malformed(name);
      *digest = value;
    } else if (name == "layer" || name == "blob") {
      if (!is_hex_digest(value)) return malformed(name);
      std::vector<std::string>& list = name == "layer" ? record.layers : record.blobs;
      list.emplace_back(value);
      if (list.size() > kMostLayers) return malformed("too many layers");
    } else if (name == "size") {
      if (parse_number<std::size_t>(value) != text.size()) return malformed("size");
      record.config = text;
      break;
    } else {
      return malformed("unknown line " + quoted(name));
    }
  }
  if (record.manifest_digest.empty() || record.config_digest.empty())
    return malformed("incomplete");
  if (!record.blobs.empty() && record.blobs.size() != record.layers.size())
    return malformed("not one blob for each layer");
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
