#include "sys/dbus_message.h"

#include <array>
#include <cstring>

namespace bulkhead {
namespace {

enum HeaderField : std::uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSignature = 8,
};

std::size_t padding(std::size_t at, std::size_t alignment) {
  return (alignment - at % alignment) % alignment;
}

void store32(std::string& bytes, std::size_t at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i)
    bytes[at + static_cast<std::size_t>(i)] = static_cast<char>(value >> (8 * i));
}

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

}  // namespace

std::string_view DbusValue::signature() const {
  constexpr std::array<std::string_view, std::variant_size_v<decltype(value)>> kSignatures = {
      "b", "i", "u", "x", "t", "s", "as", "ay", "au", "a(ss)"};
  return kSignatures[value.index()];
}

void DbusBody::align(std::size_t alignment) {
  bytes_.append(padding(bytes_.size(), alignment), '\0');
}

DbusBody& DbusBody::byte(std::uint8_t value) {
  bytes_.push_back(static_cast<char>(value));
  return *this;
}

DbusBody& DbusBody::uint32(std::uint32_t value) {
  align(4);
  bytes_.append(4, '\0');
  store32(bytes_, bytes_.size() - 4, value);
  return *this;
}

DbusBody& DbusBody::uint64(std::uint64_t value) {
  align(8);
  for (int i = 0; i < 8; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i)));
  return *this;
}

DbusBody& DbusBody::string(std::string_view value) {
  uint32(static_cast<std::uint32_t>(value.size()));
  bytes_.append(value).push_back('\0');
  return *this;
}

DbusBody& DbusBody::signature(std::string_view value) {
  byte(static_cast<std::uint8_t>(value.size()));
  bytes_.append(value).push_back('\0');
  return *this;
}

// The length does not count the padding before the first element.
template <class Fill>
void DbusBody::array(std::size_t alignment, Fill fill) {
  uint32(0);
  const std::size_t length_at = bytes_.size() - 4;
  align(alignment);
  const std::size_t first = bytes_.size();
  fill();
  store32(bytes_, length_at, static_cast<std::uint32_t>(bytes_.size() - first));
}

DbusBody& DbusBody::empty_array(std::size_t alignment) {
  array(alignment, [] {});
  return *this;
}

void DbusBody::value(const DbusValue& value) {
  std::visit(Overloaded{
                 [&](bool v) { boolean(v); },
                 [&](std::int32_t v) { uint32(static_cast<std::uint32_t>(v)); },
                 [&](std::uint32_t v) { uint32(v); },
                 [&](std::int64_t v) { uint64(static_cast<std::uint64_t>(v)); },
                 [&](std::uint64_t v) { uint64(v); },
                 [&](const std::string& v) { string(v); },
                 [&](const std::vector<std::string>& v) {
                   array(4, [&] {
                     for (const std::string& one : v) string(one);
                   });
                 },
                 [&](const std::vector<std::uint8_t>& v) {
                   array(1, [&] {
                     for (const std::uint8_t one : v) byte(one);
                   });
                 },
                 [&](const std::vector<std::uint32_t>& v) {
                   array(4, [&] {
                     for (const std::uint32_t one : v) uint32(one);
                   });
                 },
                 [&](const DbusValue::Pairs& v) {
                   array(8, [&] {
                     for (const auto& [first, second] : v) {
                       align(8);
                       string(first).string(second);
                     }
                   });
                 },
             },
             value.value);
}

DbusBody& DbusBody::variant(const DbusValue& content) {
  signature(content.signature());
  value(content);
  return *this;
}

DbusBody& DbusBody::properties(std::span<const DbusProperty> all) {
  array(8, [&] {
    for (const DbusProperty& property : all) {
      align(8);
      string(property.name).variant(property.value);
    }
  });
  return *this;
}

std::string encode_call(const DbusCall& call, std::uint32_t serial, const DbusBody& body) {
  DbusBody message;
  message.byte('l').byte(static_cast<std::uint8_t>(DbusMessageType::kCall)).byte(0).byte(1);
  message.uint32(static_cast<std::uint32_t>(body.bytes().size())).uint32(serial);
  // a(yv), laid out by hand: object paths and signatures have types of their own.
  DbusBody fields;
  const auto field = [&](HeaderField code, std::string_view type, std::string_view text) {
    if (text.empty()) return;
    // A struct is aligned to 8, counted from the start of the message, where the array begins at 16.
    while (fields.bytes().size() % 8 != 0) fields.byte(0);
    fields.byte(code).signature(type);
    if (type == "g")
      fields.signature(text);
    else
      fields.string(text);
  };
  field(kPath, "o", call.path);
  field(kDestination, "s", call.destination);
  field(kInterface, "s", call.interface);
  field(kMember, "s", call.member);
  field(kSignature, "g", call.signature);
  message.uint32(static_cast<std::uint32_t>(fields.bytes().size()));
  std::string bytes = message.bytes() + fields.bytes();
  bytes.append(padding(bytes.size(), 8), '\0');
  return bytes + body.bytes();
}

bool DbusReader::align(std::size_t alignment) { return skip(padding(at_, alignment)); }

bool DbusReader::skip(std::size_t size) {
  if (failed_ || size > body_.size() - at_) {
    failed_ = true;
    return false;
  }
  at_ += size;
  return true;
}

std::optional<std::uint8_t> DbusReader::byte() {
  if (!skip(1)) return std::nullopt;
  return static_cast<std::uint8_t>(body_[at_ - 1]);
}

std::optional<std::uint32_t> DbusReader::uint32() {
  if (!align(4) || !skip(4)) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(body_[at_ - 4 + i])) << (8 * i);
  return value;
}

std::optional<std::string_view> DbusReader::string() {
  const auto size = uint32();
  if (!size || *size >= kLargestDbusMessage || !skip(*size + std::size_t{1})) return std::nullopt;
  return body_.substr(at_ - *size - 1, *size);
}

std::optional<std::string_view> DbusReader::signature() {
  const auto size = byte();
  if (!size || !skip(*size + std::size_t{1})) return std::nullopt;
  return body_.substr(at_ - *size - 1, *size);
}

std::optional<std::size_t> dbus_message_size(std::string_view head) {
  if (head.size() < kDbusFixedHeader || head[0] != 'l' || head[3] != 1) return std::nullopt;
  DbusReader reader(head);
  reader.skip(4);
  const std::size_t body = *reader.uint32();
  reader.skip(4);
  const std::size_t fields = *reader.uint32();
  const std::size_t header = kDbusFixedHeader + fields;
  const std::size_t size = header + padding(header, 8) + body;
  if (size > kLargestDbusMessage) return std::nullopt;
  return size;
}

std::optional<DbusMessage> decode_message(std::string_view bytes) {
  if (dbus_message_size(bytes) != bytes.size()) return std::nullopt;
  DbusMessage message;
  message.type = static_cast<DbusMessageType>(bytes[1]);
  DbusReader reader(bytes);
  reader.skip(4);
  const std::size_t body_size = *reader.uint32();
  reader.skip(4);
  const std::size_t end = kDbusFixedHeader + *reader.uint32();
  while (reader.position() < end) {
    if (!reader.align(8) || reader.position() >= end) break;
    const auto code = reader.byte();
    const auto type = reader.signature();
    if (!code || !type) return std::nullopt;
    if (*type == "u") {
      const auto number = reader.uint32();
      if (!number) return std::nullopt;
      if (*code == kReplySerial) message.reply_serial = *number;
      continue;
    }
    if (*type != "s" && *type != "o" && *type != "g") return std::nullopt;
    const auto text = *type == "g" ? reader.signature() : reader.string();
    if (!text) return std::nullopt;
    if (*code == kMember) message.member = *text;
    if (*code == kErrorName) message.error_name = *text;
    if (*code == kSignature) message.signature = *text;
  }
  message.body = bytes.substr(bytes.size() - body_size);
  return message;
}

}  // namespace bulkhead
