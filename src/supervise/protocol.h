// What a monitor and its clients say to each other: packets of a SOCK_SEQPACKET socket whose path is
// <run root>/monitor/<id>. The first byte is the type; numbers are little-endian, and every packet of
// a type has the same beginning in every version, to which later versions append.
//
//   client                                   monitor
//   Hello{magic, lowest, highest version} ->
//                                         <- Welcome{magic, version, pid, id} or Refused{text}
//   Attach{streams, rows, columns}        -> <- Done, then Output{stream, bytes}... until the end
//   Input{bytes}, InputEnd, Resize{rows, columns}                 (no answer)
//   Stopping{}                            -> <- Done: it is not started again any more
//   Restart{kind, most}                   -> <- Done: the new restart policy
//   Wait{}                                -> <- Ended{flags, exit code, signal}
//
// A monitor lives as long as its container, and so may be older than its clients: a client speaks the
// version that the monitor chose, and a monitor answers what it does not know with Refused.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sys/error.h"

namespace bulkhead::supervise {

inline constexpr std::uint32_t kMagic = 0x4F4D4842;  // "BHMO"
inline constexpr std::uint16_t kLowestVersion = 1;
inline constexpr std::uint16_t kHighestVersion = 1;

enum class PacketType : std::uint8_t {
  kHello = 1,
  kWelcome = 2,
  kRefused = 3,
  kAttach = 10,
  kInput = 11,
  kInputEnd = 12,
  kResize = 13,
  kStopping = 14,
  kWait = 15,
  kRestart = 16,
  kDone = 21,
  kOutput = 22,
  kEnded = 23,
};

// Streams, as bits for Attach and one of them for Output.
inline constexpr std::uint8_t kStreamInput = 1;
inline constexpr std::uint8_t kStreamOutput = 2;
inline constexpr std::uint8_t kStreamError = 4;

// Bits of Ended.
inline constexpr std::uint8_t kEndedForGood = 1;  // and will not be started again
inline constexpr std::uint8_t kEndedTimedOut = 2;
inline constexpr std::uint8_t kEndedOutputLimited = 4;  // it wrote more than it may

inline constexpr std::size_t kMostBytes = 16384;  // of Input and Output
inline constexpr std::size_t kMostPacket = kMostBytes + 64;

// Puts a packet together in a buffer of the caller's.
class PacketWriter {
 public:
  explicit PacketWriter(PacketType type) { number(static_cast<std::uint8_t>(type)); }
  template <class Number>
  PacketWriter& number(Number value) {
    auto bits = static_cast<std::uint64_t>(value);
    for (std::size_t i = 0; i < sizeof(Number); ++i, bits >>= 8)
      bytes_[size_++] = static_cast<char>(bits & 0xFF);
    return *this;
  }
  PacketWriter& text(std::string_view text);  // cut to what fits
  std::span<const char> bytes() const { return std::span(bytes_).first(size_); }

 private:
  std::array<char, 512> bytes_;
  std::size_t size_ = 0;
};

// Takes one apart; what is missing reads as nothing.
class PacketReader {
 public:
  explicit PacketReader(std::span<const char> bytes) : rest_(bytes) {}
  template <class Number>
  std::optional<Number> number() {
    if (rest_.size() < sizeof(Number)) return std::nullopt;
    std::uint64_t bits = 0;
    for (std::size_t i = sizeof(Number); i-- > 0;)
      bits = bits << 8 | static_cast<unsigned char>(rest_[i]);
    rest_ = rest_.subspan(sizeof(Number));
    return static_cast<Number>(bits);
  }
  std::string_view rest() const { return {rest_.data(), rest_.size()}; }

 private:
  std::span<const char> rest_;
};

struct Hello {
  std::uint16_t lowest = kLowestVersion;
  std::uint16_t highest = kHighestVersion;
};
std::optional<Hello> read_hello(std::span<const char> packet);
// The highest version that both sides know.
std::optional<std::uint16_t> choose_version(const Hello& theirs,
                                            std::uint16_t lowest = kLowestVersion,
                                            std::uint16_t highest = kHighestVersion);

struct Welcome {
  std::uint16_t version = 0;
  std::int32_t pid = 0;
  std::string id;
};
std::optional<Welcome> read_welcome(std::span<const char> packet);

}  // namespace bulkhead::supervise
