#include "storage/tar/tar_stream.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "storage/tar/tar_fields.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kBuffer = std::size_t{256} << 10;

// The largest number that a field of octal digits and a NUL has room for.
constexpr std::uint64_t most_octal(TarField field) {
  return (std::uint64_t{1} << (3 * (field.size - 1))) - 1;
}

char type_flag(TarType type) {
  switch (type) {
    case TarType::kFile: return '0';
    case TarType::kHardLink: return '1';
    case TarType::kSymbolicLink: return '2';
    case TarType::kCharacterDevice: return '3';
    case TarType::kBlockDevice: return '4';
    case TarType::kDirectory: return '5';
    case TarType::kFifo: return '6';
  }
  return '0';
}

// "LENGTH KEY=VALUE\n", where the length counts its own digits.
void add_record(std::string& records, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  records.append(std::to_string(length)).append(" ").append(key).append("=");
  records.append(value).append("\n");
}

std::string time_text(const timespec& time) {
  if (time.tv_nsec == 0) return std::to_string(time.tv_sec);
  // What lies before 1970 counts backwards from the next second.
  const bool negative = time.tv_sec < 0;
  const std::int64_t seconds = negative ? -(std::int64_t{time.tv_sec} + 1) : time.tv_sec;
  const long nanoseconds = negative ? 1'000'000'000 - time.tv_nsec : time.tv_nsec;
  std::array<char, 64> text{};
  (void)std::snprintf(text.data(), text.size(), "%s%lld.%09ld", negative ? "-" : "",
                      static_cast<long long>(seconds), nanoseconds);
  return text.data();
}

void put_text(char* block, TarField field, std::string_view text) {
  std::memcpy(block + field.offset, text.data(), std::min(text.size(), field.size));
}

// What does not fit stands in a record, and the field stays 0.
void put_octal(char* block, TarField field, std::uint64_t value) {
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%0*llo", static_cast<int>(field.size - 1),
                      static_cast<unsigned long long>(value <= most_octal(field) ? value : 0));
  std::memcpy(block + field.offset, text.data(), field.size - 1);
}

std::uint64_t natural(std::int64_t number) {
  return number < 0 ? 0 : static_cast<std::uint64_t>(number);
}

}  // namespace

Result<void> TarStream::flush() {
  TRY(write_all(output_, buffer_.data(), buffer_.size()));
  buffer_.clear();
  return {};
}

Result<void> TarStream::put(std::string_view bytes) {
  written_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBuffer) TRY(flush());
  if (bytes.size() >= kBuffer) {
    TRY(write_all(output_, bytes.data(), bytes.size()));
    return {};
  }
  buffer_.append(bytes);
  return {};
}

Result<void> TarStream::pad() {
  static constexpr std::array<char, kTarBlock> kZeros{};
  return put({kZeros.data(), (kTarBlock - written_ % kTarBlock) % kTarBlock});
}

Result<void> TarStream::header(const TarEntry& entry, char type, std::string_view name,
                               std::uint64_t stored) {
  std::array<char, kTarBlock> block{};
  char* const bytes = block.data();
  put_text(bytes, kTarName, name);
  put_octal(bytes, kTarMode, entry.mode & 07777U);
  put_octal(bytes, kTarUid, natural(entry.uid));
  put_octal(bytes, kTarGid, natural(entry.gid));
  put_octal(bytes, kTarSize, stored);
  put_octal(bytes, kTarModified, natural(entry.modified.tv_sec));
  bytes[kTarType] = type;
  put_text(bytes, kTarLink, entry.link);
  using namespace std::literals;
  put_text(bytes, kTarMagic, "ustar\00000"sv);
  put_octal(bytes, kTarMajor, entry.major);
  put_octal(bytes, kTarMinor, entry.minor);
  std::memset(bytes + kTarChecksum.offset, ' ', kTarChecksum.size);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  (void)std::snprintf(bytes + kTarChecksum.offset, kTarChecksum.size, "%06o", sum);
  return put({bytes, kTarBlock});
}

Result<void> TarStream::headers(const TarEntry& entry, std::string_view name, std::uint64_t stored,
                                std::string records) {
  const auto number = [&](const char* key, std::int64_t value, TarField field) {
    if (value < 0 || static_cast<std::uint64_t>(value) > most_octal(field))
      add_record(records, key, std::to_string(value));
  };
  if (name.size() > kTarName.size) add_record(records, "path", name);
  if (entry.link.size() > kTarLink.size) add_record(records, "linkpath", entry.link);
  number("uid", entry.uid, kTarUid);
  number("gid", entry.gid, kTarGid);
  number("size", static_cast<std::int64_t>(stored), kTarSize);
  if (entry.modified.tv_nsec != 0)
    add_record(records, "mtime", time_text(entry.modified));
  else
    number("mtime", entry.modified.tv_sec, kTarModified);
  for (const auto& [key, value] : entry.attributes)
    add_record(records, "SCHILY.xattr." + key, value);
  if (!records.empty()) {
    TarEntry extended;
    extended.mode = 0644;
    TRY(header(extended, 'x', "PaxHeaders/entry", records.size()));
    TRY(put(records));
    TRY(pad());
  }
  return header(entry, type_flag(entry.type), name, stored);
}

Result<void> TarStream::add(const TarEntry& entry) {
  std::string name = entry.path;
  if (entry.type == TarType::kDirectory && !name.ends_with('/')) name += '/';
  return headers(entry, name, 0, {});
}

Result<void> TarStream::begin_file(const TarEntry& entry, std::span<const TarExtent> extents) {
  if (extents.empty()) return headers(entry, entry.path, entry.size, {});
  // The map stands before the content: decimal numbers on lines of their own, up to a whole block. It
  // ends with the end of the file.
  std::string map;
  std::uint64_t stored = 0;
  const auto line = [&](std::uint64_t number) { map.append(std::to_string(number)).append("\n"); };
  const bool open_end = extents.back().offset + extents.back().size < entry.size;
  line(extents.size() + (open_end ? 1 : 0));
  for (const TarExtent& extent : extents) {
    line(extent.offset);
    line(extent.size);
    stored += extent.size;
  }
  if (open_end) {
    line(entry.size);
    line(0);
  }
  map.resize((map.size() + kTarBlock - 1) / kTarBlock * kTarBlock, '\0');
  std::string records;
  add_record(records, "GNU.sparse.major", "1");
  add_record(records, "GNU.sparse.minor", "0");
  add_record(records, "GNU.sparse.name", entry.path);
  add_record(records, "GNU.sparse.realsize", std::to_string(entry.size));
  TRY(headers(entry, "GNUSparseFile.0/file", stored + map.size(), std::move(records)));
  return put(map);
}

Result<void> TarStream::content(std::string_view bytes) { return put(bytes); }

Result<void> TarStream::end_file() { return pad(); }

Result<void> TarStream::finish() {
  const std::array<char, 2 * kTarBlock> zeros{};
  TRY(put({zeros.data(), zeros.size()}));
  return flush();
}

}  // namespace bulkhead::storage
