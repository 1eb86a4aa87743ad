#include "volumes/record.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "json/parse.h"
#include "json/writer.h"
#include "storage/size_limit.h"

namespace bulkhead::volumes {
namespace {

constexpr std::size_t kLongestName = 255;

std::unexpected<Error> refuse(std::string_view option, std::string_view value, std::string_view why,
                              std::string hint = {}) {
  return fail(
      ErrorKind::kUsage,
      "the volume's option " + std::string(option) + "=" + quoted(value) + " " + std::string(why),
      std::move(hint));
}

// "512m", "10g", "100MiB": powers of 1024.
std::optional<std::uint64_t> read_size(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number<std::uint64_t>(text.substr(0, digits));
  std::string unit(text.substr(digits));
  for (char& c : unit)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  constexpr std::string_view kUnits = "kmgt";
  unsigned shift = 0;
  if (!unit.empty() && unit != "b") {
    const std::size_t power = kUnits.find(unit[0]);
    const std::string rest = unit.substr(1);
    if (power == std::string_view::npos || (!rest.empty() && rest != "b" && rest != "ib"))
      return std::nullopt;
    shift = 10 * (static_cast<unsigned>(power) + 1);
  }
  if (!number || *number > (UINT64_MAX >> 1 >> shift)) return std::nullopt;
  return *number << shift;
}

Result<void> read_bind_option(std::string_view all, std::string_view option, Meaning& meaning,
                              bool& binds) {
  constexpr std::array<std::string_view, 7> kPassedOn{"noexec", "nosuid",   "nodev", "private",
                                                      "slave",  "rprivate", "rslave"};
  if (option == "bind" || option == "rbind") {
    binds = true;
    meaning.recursive = option == "rbind";
  } else if (option == "ro" || option == "rw") {
    meaning.read_only = option == "ro";
  } else if (std::ranges::find(kPassedOn, option) != kPassedOn.end()) {
    meaning.mount_options.emplace_back(option);
  } else {
    return refuse("o", all, "has " + quoted(option) + ", which is not supported",
                  "there are bind, rbind, ro, rw, noexec, nosuid, nodev, [r]private and [r]slave");
  }
  return {};
}

const std::string& value_of(const Words& options, const char* name) {
  static const std::string kNothing;
  const auto found = options.find(name);
  return found == options.end() ? kNothing : found->second;
}

Result<Meaning> read_bind(const Words& options) {
  Meaning meaning;
  meaning.kind = Kind::kBind;
  const std::string& words = value_of(options, "o");
  bool binds = value_of(options, "type") == "bind";
  for (const std::string_view option : split(words, ','))
    if (!option.empty()) TRY(read_bind_option(words, option, meaning, binds));
  meaning.device = value_of(options, "device");
  if (!binds)
    return refuse("type", value_of(options, "type"), "mounts nothing without o=bind",
                  "give --opt type=none --opt o=bind --opt device=/PATH");
  if (!meaning.device.starts_with('/') || meaning.device.find('\0') != std::string::npos)
    return refuse("device", meaning.device, "is not an absolute path on the host");
  return meaning;
}

Result<void> read_memory_option(std::string_view all, std::string_view option, Meaning& meaning) {
  constexpr std::array<std::string_view, 3> kPassedOn{"noexec", "nosuid", "nodev"};
  std::string_view value = option;
  const std::string_view name = next_field(value, '=');
  const auto number = [&](int base) { return parse_number<std::uint32_t>(value, base); };
  bool understood = true;
  if (name == "size") {
    meaning.memory.bytes = read_size(value).value_or(0);
    understood = meaning.memory.bytes >= 4096;
  } else if (name == "nr_inodes") {
    meaning.memory.inodes = read_size(value).value_or(0);
    understood = meaning.memory.inodes != 0;
  } else if (name == "mode") {
    meaning.memory.mode = number(8).value_or(010000);
    understood = meaning.memory.mode <= 07777;
  } else if (name == "uid" || name == "gid") {
    constexpr std::uint32_t kIds = 65536;  // that a container has
    (name == "uid" ? meaning.memory.uid : meaning.memory.gid) = number(10).value_or(kIds);
    understood = number(10).value_or(kIds) < kIds;
  } else if (option == "ro" || option == "rw") {
    meaning.read_only = option == "ro";
  } else if (std::ranges::find(kPassedOn, option) != kPassedOn.end()) {
    meaning.mount_options.emplace_back(option);
  } else {
    understood = false;
  }
  if (understood) return {};
  return refuse("o", all, "has " + quoted(option) + ", which is not understood",
                "there are size=64m, nr_inodes=, mode=1777, uid=, gid=, ro, rw, noexec, nosuid and "
                "nodev");
}

Result<Meaning> read_memory(const Words& options) {
  Meaning meaning;
  meaning.kind = Kind::kMemory;
  const std::string& words = value_of(options, "o");
  for (const std::string_view option : split(words, ','))
    if (!option.empty()) TRY(read_memory_option(words, option, meaning));
  const auto device = options.find("device");
  if (device != options.end() && device->second != "tmpfs" && device->second != "none")
    return refuse("device", device->second, "means nothing to a tmpfs", "give device=tmpfs");
  return meaning;
}

void write(json::Writer& writer, std::string_view name, const Words& words) {
  writer.key(name);
  writer.begin_object();
  for (const auto& [key, value] : words) writer.member(key, value);
  writer.end_object();
}

void read(const json::Value* object, Words& words) {
  if (object == nullptr) return;
  for (const json::Member& member : object->members())
    words.emplace(member.key, member.value.as_string());
}

}  // namespace

bool is_volume_name(std::string_view text) {
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return text.size() >= 2 && text.size() <= kLongestName && is_alphanumeric(text[0]) &&
         std::ranges::all_of(
             text, [&](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

Result<Meaning> read_options(const Words& options) {
  for (const auto& [name, value] : options)
    if (name != "type" && name != "o" && name != "device" && name != "size")
      return refuse(name, value, "is none of the local driver's",
                    "there are type, o, device and size");
  const std::string& type = value_of(options, "type");
  const bool mounts = !type.empty() || options.contains("o") || options.contains("device");
  const auto size = options.find("size");
  if (size != options.end()) {
    if (mounts) return refuse("size", size->second, "goes with none of type, o and device");
    const auto bytes = read_size(size->second);
    if (!bytes) return refuse("size", size->second, "is not a size such as 512m or 10g");
    Meaning meaning;
    if (*bytes == 0) return meaning;  // no limit
    if (*bytes < storage::kLeastSizeLimit)
      return refuse("size", size->second, "is too small for a file system of its own",
                    "give at least 8m");
    meaning.kind = Kind::kImage;
    meaning.bytes = *bytes & ~std::uint64_t{4095};
    return meaning;
  }
  if (!mounts) return Meaning{};
  if (type == "none" || type == "bind") return read_bind(options);
  if (type.empty())
    return refuse(options.contains("o") ? "o" : "device",
                  value_of(options, options.contains("o") ? "o" : "device"), "needs a type",
                  "give --opt type=none --opt o=bind --opt device=/PATH");
  if (type == "tmpfs") return read_memory(options);
  return fail(ErrorKind::kUnsupported,
              "volumes of the type " + quoted(type) +
                  " are not supported: nothing is mounted on the host for a volume",
              "mount it on the host, and name the place: --opt type=none --opt o=bind --opt "
              "device=/PATH");
}

std::string encode(const Volume& volume) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  writer.member("name", volume.name);
  writer.member("created", volume.created);
  write(writer, "labels", volume.labels);
  write(writer, "options", volume.options);
  writer.end_object();
  return text + "\n";
}

Result<Volume> decode_volume(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  Volume volume;
  const json::Value& root = document.root();
  if (const json::Value* const name = root.find("name")) volume.name = name->as_string();
  if (const json::Value* const created = root.find("created"))
    volume.created = created->as_string();
  read(root.find("labels"), volume.labels);
  read(root.find("options"), volume.options);
  if (!is_volume_name(volume.name)) return fail(ErrorKind::kInvalid, "not the record of a volume");
  return volume;
}

}  // namespace bulkhead::volumes
