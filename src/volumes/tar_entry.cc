#include "volumes/tar_entry.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace bulkhead::volumes {
namespace {

struct Field {
  std::size_t at;
  std::size_t size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12},
    kTime{136, 12}, kSum{148, 8}, kLink{157, 100}, kMajor{329, 8}, kMinor{337, 8};
constexpr std::size_t kType = 156;
constexpr std::size_t kMagic = 257;

using Block = std::array<char, kTarBlock>;

bool fits(std::uint64_t value, Field field) { return value >> (3 * (field.size - 1)) == 0; }

void put_number(Block& block, Field field, std::uint64_t value) {
  if (!fits(value, field)) value = 0;  // an extended header says it
  for (std::size_t i = field.size - 1; i > 0; --i, value >>= 3)
    block[field.at + i - 1] = static_cast<char>('0' + (value & 7));
}

void put_text(Block& block, Field field, std::string_view text) {
  std::copy_n(text.begin(), std::min(text.size(), field.size),
              block.begin() + static_cast<std::ptrdiff_t>(field.at));
}

std::string header_block(const TarEntry& entry, std::string_view name) {
  Block block{};
  put_text(block, kName, name);
  put_number(block, kMode, entry.mode);
  put_number(block, kUid, entry.uid);
  put_number(block, kGid, entry.gid);
  put_number(block, kSize, entry.size);
  put_number(block, kTime, entry.modified < 0 ? 0 : static_cast<std::uint64_t>(entry.modified));
  block[kType] = entry.type;
  put_text(block, kLink, entry.link);
  constexpr std::string_view kUstar("ustar\00000", 8);
  put_text(block, {kMagic, kUstar.size()}, kUstar);
  put_number(block, kMajor, entry.device_major);
  put_number(block, kMinor, entry.device_minor);
  put_text(block, kSum, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_number(block, {kSum.at, 7}, sum);
  block[kSum.at + 6] = '\0';
  return {block.begin(), block.end()};
}

// "LENGTH KEY=VALUE\n", where the length counts itself.
void add_record(std::string& records, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  records.append(std::to_string(length)).append(" ").append(key).append("=").append(value);
  records += '\n';
}

std::string time_text(const TarEntry& entry) {
  char text[48];
  // Before 1970 with a fraction: -1.25 is 0.75 s after -2.
  const bool negative = entry.modified < 0 && entry.modified_nanoseconds != 0;
  const std::int64_t seconds = negative ? entry.modified + 1 : entry.modified;
  const std::uint32_t fraction =
      negative ? 1'000'000'000 - entry.modified_nanoseconds : entry.modified_nanoseconds;
  (void)std::snprintf(text, sizeof text, "%s%lld.%09u", negative && seconds == 0 ? "-" : "",
                      static_cast<long long>(seconds), fraction);
  return text;
}

std::string extended_records(const TarEntry& entry) {
  std::string records;
  if (entry.name.size() > kName.size) add_record(records, "path", entry.name);
  if (entry.link.size() > kLink.size) add_record(records, "linkpath", entry.link);
  if (!fits(entry.size, kSize)) add_record(records, "size", std::to_string(entry.size));
  if (!fits(entry.uid, kUid)) add_record(records, "uid", std::to_string(entry.uid));
  if (!fits(entry.gid, kGid)) add_record(records, "gid", std::to_string(entry.gid));
  if (entry.modified_nanoseconds != 0 || entry.modified < 0 ||
      !fits(static_cast<std::uint64_t>(entry.modified), kTime))
    add_record(records, "mtime", time_text(entry));
  for (const auto& [name, value] : entry.attributes)
    add_record(records, "SCHILY.xattr." + name, value);
  return records;
}

}  // namespace

std::string tar_header(const TarEntry& entry) {
  std::string text;
  const std::string records = extended_records(entry);
  if (!records.empty()) {
    TarEntry extended;
    extended.type = 'x';
    extended.mode = 0644;
    extended.size = records.size();
    text = header_block(extended, "PaxHeaders/entry");
    text += records;
    text.append((kTarBlock - records.size() % kTarBlock) % kTarBlock, '\0');
  }
  return text + header_block(entry, entry.name);
}

}  // namespace bulkhead::volumes
