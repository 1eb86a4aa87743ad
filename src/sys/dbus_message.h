// Messages of the D-Bus wire protocol, as much of it as one talks to systemd with: method calls and
// their answers, signals; little-endian. https://dbus.freedesktop.org/doc/dbus-specification.html
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace bulkhead {

// A value of the types that unit properties have, with its D-Bus signature.
struct DbusValue {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  std::variant<bool,                        // b
               std::int32_t,                // i
               std::uint32_t,               // u
               std::int64_t,                // x
               std::uint64_t,               // t
               std::string,                 // s
               std::vector<std::string>,    // as
               std::vector<std::uint8_t>,   // ay
               std::vector<std::uint32_t>,  // au
               Pairs>                       // a(ss)
      value;

  std::string_view signature() const;
  bool operator==(const DbusValue&) const = default;
};

struct DbusProperty {
  std::string name;
  DbusValue value;
  bool operator==(const DbusProperty&) const = default;
};

// The body of a message: each call appends one value, aligned as the protocol wants it.
class DbusBody {
 public:
  DbusBody& boolean(bool value) { return uint32(value ? 1 : 0); }
  DbusBody& byte(std::uint8_t value);
  DbusBody& uint32(std::uint32_t value);
  DbusBody& uint64(std::uint64_t value);
  DbusBody& string(std::string_view value);     // also object paths
  DbusBody& signature(std::string_view value);  // at most 255 bytes
  DbusBody& variant(const DbusValue& value);
  DbusBody& properties(std::span<const DbusProperty> all);  // a(sv)
  DbusBody& empty_array(std::size_t alignment);

  const std::string& bytes() const { return bytes_; }

 private:
  void align(std::size_t alignment);
  template <class Fill>
  void array(std::size_t alignment, Fill fill);
  void value(const DbusValue& value);

  std::string bytes_;
};

enum class DbusMessageType : std::uint8_t { kCall = 1, kReturn = 2, kError = 3, kSignal = 4 };

// A received message. What is malformed reads as nothing, never past the end.
struct DbusMessage {
  DbusMessageType type{};
  std::uint32_t reply_serial = 0;
  std::string member;
  std::string error_name;
  std::string signature;
  std::string body;
};

struct DbusCall {
  std::string_view destination;
  std::string_view path;
  std::string_view interface;
  std::string_view member;
  std::string_view signature;  // of the body
};

std::string encode_call(const DbusCall& call, std::uint32_t serial, const DbusBody& body);

inline constexpr std::size_t kDbusFixedHeader = 16;
inline constexpr std::size_t kLargestDbusMessage = std::size_t{16} << 20;

// The size of the whole message of which `head` is the first kDbusFixedHeader bytes. Nothing when it
// is not little-endian version 1, or larger than kLargestDbusMessage.
std::optional<std::size_t> dbus_message_size(std::string_view head);
std::optional<DbusMessage> decode_message(std::string_view bytes);

// Reads values from a body, in order; after a failure every further one fails.
class DbusReader {
 public:
  explicit DbusReader(std::string_view body) : body_(body) {}
  std::optional<std::uint8_t> byte();
  std::optional<std::uint32_t> uint32();
  std::optional<std::string_view> string();
  std::optional<std::string_view> signature();
  bool align(std::size_t alignment);
  bool skip(std::size_t size);
  std::size_t position() const { return at_; }

 private:
  std::string_view body_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace bulkhead
