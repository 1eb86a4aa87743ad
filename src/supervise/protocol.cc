#include "supervise/protocol.h"

#include <algorithm>
#include <cstring>

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kIdLength = 64;

bool is(PacketReader& reader, PacketType type) {
  const auto first = reader.number<std::uint8_t>();
  const auto magic = reader.number<std::uint32_t>();
  return first == static_cast<std::uint8_t>(type) && magic == kMagic;
}

}  // namespace

PacketWriter& PacketWriter::text(std::string_view text) {
  const std::size_t size = std::min(text.size(), bytes_.size() - size_);
  std::memcpy(bytes_.data() + size_, text.data(), size);
  size_ += size;
  return *this;
}

std::optional<Hello> read_hello(std::span<const char> packet) {
  PacketReader reader(packet);
  if (!is(reader, PacketType::kHello)) return std::nullopt;
  const auto lowest = reader.number<std::uint16_t>();
  const auto highest = reader.number<std::uint16_t>();
  if (!lowest || !highest || *lowest > *highest) return std::nullopt;
  return Hello{*lowest, *highest};
}

std::optional<std::uint16_t> choose_version(const Hello& theirs, std::uint16_t lowest,
                                            std::uint16_t highest) {
  const std::uint16_t both = std::min(theirs.highest, highest);
  if (both < std::max(theirs.lowest, lowest)) return std::nullopt;
  return both;
}

std::optional<Welcome> read_welcome(std::span<const char> packet) {
  PacketReader reader(packet);
  if (!is(reader, PacketType::kWelcome)) return std::nullopt;
  const auto version = reader.number<std::uint16_t>();
  const auto pid = reader.number<std::int32_t>();
  if (!version || !pid || reader.rest().size() < kIdLength) return std::nullopt;
  return Welcome{*version, *pid, std::string(reader.rest().substr(0, kIdLength))};
}

}  // namespace bulkhead::supervise
