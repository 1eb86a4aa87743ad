#include "storage/unpack/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::uint64_t kMostOctal = (std::uint64_t{1} << 33) - 1;  // 11 digits

void put_octal(char* field, int width, std::uint64_t value) {
  (void)std::snprintf(field, static_cast<std::size_t>(width), "%0*llo", width - 1,
                      static_cast<unsigned long long>(value));
}

// Sizes from 8 GiB on in binary, as GNU and Go have it.
void put_size(char* field, std::uint64_t value) {
  if (value <= kMostOctal) return put_octal(field, 12, value);
  field[0] = static_cast<char>(0x80);
  for (int i = 11; i > 0; --i, value >>= 8) field[i] = static_cast<char>(value & 0xFF);
}

}  // namespace

Result<void> PlainTar::header(std::string_view name, char type, unsigned mode, std::uint64_t size) {
  if (name.empty() || name.size() > 100)
    return fail(ErrorKind::kInternal, "a name that is too long for the archive");
  std::array<char, kBlock> block{};
  std::memcpy(block.data(), name.data(), name.size());
  put_octal(block.data() + 100, 8, mode);
  put_octal(block.data() + 108, 8, 0);
  put_octal(block.data() + 116, 8, 0);
  put_size(block.data() + 124, size);
  put_octal(block.data() + 136, 12, 0);
  block[156] = type;
  std::memcpy(block.data() + 257,
              "ustar\0"
              "00",
              8);
  std::memset(block.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  (void)std::snprintf(block.data() + 148, 8, "%06o", sum);
  TRY(write_all(output_, block.data(), block.size()));
  return {};
}

Result<void> PlainTar::begin_file(std::string_view name, std::uint64_t size) {
  return header(name, '0', 0644, size);
}

Result<void> PlainTar::end_file(std::uint64_t size) {
  const std::array<char, kBlock> zeros{};
  TRY(write_all(output_, zeros.data(), (kBlock - size % kBlock) % kBlock));
  return {};
}

Result<void> PlainTar::add_file(std::string_view name, std::string_view content) {
  TRY(begin_file(name, content.size()));
  TRY(write_all(output_, content.data(), content.size()));
  return end_file(content.size());
}

Result<void> PlainTar::add_directory(std::string_view name) { return header(name, '5', 0755, 0); }

Result<void> PlainTar::finish() {
  const std::array<char, 2 * kBlock> zeros{};
  TRY(write_all(output_, zeros.data(), zeros.size()));
  return {};
}

}  // namespace bulkhead::storage
