// The fields of a tar header and how they are written.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/text.h"

namespace bulkhead::storage {

inline constexpr std::size_t kTarBlock = 512;

struct TarField {
  std::size_t offset;
  std::size_t size;
};
inline constexpr TarField kTarName{0, 100};
inline constexpr TarField kTarMode{100, 8};
inline constexpr TarField kTarUid{108, 8};
inline constexpr TarField kTarGid{116, 8};
inline constexpr TarField kTarSize{124, 12};
inline constexpr TarField kTarModified{136, 12};
inline constexpr TarField kTarChecksum{148, 8};
inline constexpr std::size_t kTarType = 156;
inline constexpr TarField kTarLink{157, 100};
inline constexpr TarField kTarMagic{257, 8};
inline constexpr TarField kTarMajor{329, 8};
inline constexpr TarField kTarMinor{337, 8};
inline constexpr TarField kTarPrefix{345, 155};
inline constexpr TarField kStarPrefix{345, 131};
inline constexpr TarField kStarTrailer{508, 4};
// Old GNU sparse files: four extents in the header, 21 in each block that follows.
inline constexpr std::size_t kGnuSparse = 386;
inline constexpr std::size_t kGnuIsExtended = 482;
inline constexpr TarField kGnuRealSize{483, 12};
inline constexpr std::size_t kGnuExtentsInBlock = 21;
inline constexpr std::size_t kGnuBlockIsExtended = 504;

inline std::string_view tar_bytes(const char* header, TarField field) {
  return {header + field.offset, field.size};
}
// Up to the first NUL.
inline std::string_view tar_text(const char* header, TarField field) {
  return {header + field.offset, ::strnlen(header + field.offset, field.size)};
}

// Octal with spaces or NULs around it, or big-endian two's complement with the top bit set (GNU).
inline std::optional<std::int64_t> tar_number(const char* header, TarField field) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(header) + field.offset;
  if ((bytes[0] & 0x80) == 0) {
    std::string_view text = tar_bytes(header, field);
    constexpr std::string_view kAround(" \0", 2);
    const std::size_t first = text.find_first_not_of(kAround);
    if (first == std::string_view::npos) return 0;
    text = text.substr(first, text.find_last_not_of(kAround) - first + 1);
    if (text.front() == '-') return std::nullopt;
    return parse_number<std::int64_t>(text, 8);
  }
  // The bit above the mark is the sign's.
  const bool negative = (bytes[0] & 0x40) != 0;
  std::uint64_t number = negative ? ~std::uint64_t{0} << 6 | (bytes[0] & 0x3FU) : bytes[0] & 0x3FU;
  for (std::size_t i = 1; i < field.size; ++i) {
    const std::uint64_t lost = number >> 55;
    if (lost != 0 && lost != 0x1FF) return std::nullopt;
    number = number << 8 | bytes[i];
  }
  return static_cast<std::int64_t>(number);
}

// The sum of all bytes with the checksum's own as spaces; some old writers added signed ones.
inline bool tar_checksum_holds(const char* header) {
  std::int64_t as_unsigned = 0;
  std::int64_t as_signed = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) {
    const bool own = i >= kTarChecksum.offset && i < kTarChecksum.offset + kTarChecksum.size;
    const char c = own ? ' ' : header[i];
    as_unsigned += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  const auto said = tar_number(header, kTarChecksum);
  return said && (*said == as_unsigned || *said == as_signed);
}

}  // namespace bulkhead::storage
