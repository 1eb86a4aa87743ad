// The part of TarReader that reads PAX records and the maps of sparse files.
#include <algorithm>
#include <limits>

#include "storage/tar/tar_fields.h"
#include "storage/tar/tar_reader.h"

namespace bulkhead::storage {
namespace {

// Holes are cheap to write down: a map of a million extents is 16 MiB here.
constexpr std::size_t kMostExtents = 1 << 20;
constexpr std::string_view kAttribute = "SCHILY.xattr.";

std::unexpected<Error> malformed(const std::string& what) {
  return fail(ErrorKind::kInvalid, "the tar archive is malformed: " + what);
}

std::optional<std::uint64_t> size_of(std::string_view text) {
  const auto size = parse_number<std::uint64_t>(text);
  if (!size || *size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return std::nullopt;
  return size;
}

// "-1.5" is half a second before -1.
std::optional<timespec> time_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view fraction = text;
  const auto seconds = parse_number<std::int64_t>(next_field(fraction, '.'));
  if (!seconds || *seconds == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  long nanoseconds = 0;
  long unit = 100'000'000;
  for (const char c : fraction) {
    if (c < '0' || c > '9') return std::nullopt;
    nanoseconds += (c - '0') * unit;
    unit /= 10;  // what is finer than a nanosecond is dropped
  }
  timespec time{};
  time.tv_sec = *seconds;
  time.tv_nsec = nanoseconds;
  if (negative && nanoseconds != 0) {
    --time.tv_sec;
    time.tv_nsec = 1'000'000'000 - nanoseconds;
  }
  return time;
}

}  // namespace

// "LENGTH KEY=VALUE\n", one after the other. An empty value means what the header itself says.
Result<void> TarReader::parse_pax(std::string_view text, Ahead& ahead) {
  while (!text.empty()) {
    std::string_view rest = text;
    const auto length = parse_number<std::size_t>(next_field(rest, ' '));
    const std::size_t digits = text.size() - rest.size();
    if (!length || *length > text.size() || *length <= digits || text[*length - 1] != '\n')
      return malformed("an extended header's record has no right length");
    std::string_view value = text.substr(digits, *length - digits - 1);
    text.remove_prefix(*length);
    const std::size_t equals = value.find('=');
    if (equals == 0 || equals == std::string_view::npos)
      return malformed("an extended header's record has no key");
    const std::string_view key = value.substr(0, equals);
    value.remove_prefix(equals + 1);
    if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
      const auto number = size_of(value);
      const bool turn = (ahead.sparse_0_0.size() % 2 == 0) == (key == "GNU.sparse.offset");
      if (!number || !turn || ahead.sparse_0_0.size() >= 2 * kMostExtents)
        return malformed("a sparse file's map is none");
      ahead.sparse_0_0.push_back(*number);
    } else {
      ahead.pax.insert_or_assign(std::string(key), std::string(value));
    }
  }
  return {};
}

Result<void> TarReader::apply_pax(Ahead& ahead, TarEntry& entry) {
  for (auto& [key, value] : ahead.pax) {
    const bool is_attribute = key.starts_with(kAttribute) && key.size() > kAttribute.size();
    if (value.empty() && !is_attribute) continue;
    if (is_attribute) {
      entry.attributes.emplace_back(key.substr(kAttribute.size()), std::move(value));
      continue;
    }
    std::string* const text = key == "path"       ? &entry.path
                              : key == "linkpath" ? &entry.link
                                                  : nullptr;
    if (text != nullptr) {
      if (value.find('\0') != std::string::npos) return malformed("a name with a NUL in it");
      *text = value;
    } else if (key == "size") {
      const auto size = size_of(value);
      if (!size) return malformed("a size that is no number");
      entry.size = *size;
    } else if (key == "uid" || key == "gid") {
      const auto id = parse_number<std::int64_t>(value);
      if (!id) return malformed("an id that is no number");
      (key == "uid" ? entry.uid : entry.gid) = *id;
    } else if (key == "mtime") {
      const auto time = time_of(value);
      if (!time) return malformed("a time that is no number");
      entry.modified = *time;
    }
  }
  return {};
}

Result<void> TarReader::find_extents(const char* header, Ahead& ahead, TarEntry& entry) {
  sparse_ = false;
  extents_.clear();
  extent_ = 0;
  const auto text = [&](const char* key) -> const std::string* {
    const auto found = ahead.pax.find(key);
    return found == ahead.pax.end() ? nullptr : &found->second;
  };
  const bool old_gnu = header[kTarType] == 'S';
  const std::string* const major = text("GNU.sparse.major");
  const std::string* const map = text("GNU.sparse.map");
  const bool is_pax = major != nullptr || map != nullptr || !ahead.sparse_0_0.empty();
  if (!old_gnu && !is_pax) return {};
  if (entry.type != TarType::kFile || (old_gnu && is_pax))
    return malformed("a sparse file that is none");
  sparse_ = true;
  if (old_gnu) return old_gnu_extents(header, entry);

  const std::string* real_size = text("GNU.sparse.realsize");
  if (real_size == nullptr) real_size = text("GNU.sparse.size");
  const auto size = real_size != nullptr ? size_of(*real_size) : std::nullopt;
  if (!size) return malformed("a sparse file without a size");
  if (const std::string* const name = text("GNU.sparse.name")) {
    if (name->empty() || name->find('\0') != std::string::npos)
      return malformed("a sparse file without a name");
    entry.path = *name;
  }
  if (major != nullptr) {
    const std::string* const minor = text("GNU.sparse.minor");
    if (*major != "1" || minor == nullptr || *minor != "0")
      return malformed("a sparse file of an unknown kind");
    TRY(pax_1_0_extents());
  } else {
    std::vector<std::uint64_t> numbers = std::move(ahead.sparse_0_0);
    if (map != nullptr) {
      if (!numbers.empty()) return malformed("a sparse file with two maps");
      std::string_view rest = *map;
      while (!rest.empty()) {
        const auto number = size_of(next_field(rest, ','));
        if (!number || numbers.size() >= 2 * kMostExtents)
          return malformed("a sparse file's map is none");
        numbers.push_back(*number);
      }
    }
    if (numbers.size() % 2 != 0) return malformed("a sparse file's map is none");
    for (std::size_t i = 0; i < numbers.size(); i += 2)
      extents_.push_back({numbers[i], numbers[i + 1]});
  }
  entry.size = *size;
  return check_extents(*size);
}

Result<void> TarReader::old_gnu_extents(const char* header, TarEntry& entry) {
  const auto real_size = tar_number(header, kGnuRealSize);
  if (!real_size || *real_size < 0) return malformed("a sparse file without a size");
  const auto take = [&](const char* from, std::size_t at, std::size_t most) {
    for (std::size_t i = 0; i < most; ++i, at += 24) {
      if (from[at] == '\0') return true;
      const auto offset = tar_number(from, {at, 12});
      const auto size = tar_number(from, {at + 12, 12});
      if (!offset || *offset < 0 || !size || *size < 0) return false;
      extents_.push_back({static_cast<std::uint64_t>(*offset), static_cast<std::uint64_t>(*size)});
    }
    return true;
  };
  bool extended = header[kGnuIsExtended] != '\0';
  if (!take(header, kGnuSparse, 4)) return malformed("a sparse file's map is none");
  while (extended) {
    TRY_ASSIGN(const char* const more, block());
    if (more == nullptr || extents_.size() >= kMostExtents || !take(more, 0, kGnuExtentsInBlock))
      return malformed("a sparse file's map is none");
    extended = more[kGnuBlockIsExtended] != '\0';
  }
  entry.size = static_cast<std::uint64_t>(*real_size);
  return check_extents(entry.size);
}

// The map stands before the content: decimal numbers, one a line, the first of them the count, in
// whole blocks.
Result<void> TarReader::pax_1_0_extents() {
  std::string line;
  std::string_view unread;
  const auto number = [&]() -> Result<std::uint64_t> {
    line.clear();
    for (;;) {
      if (unread.empty()) {
        if (stored_ < kTarBlock) return malformed("a sparse file ends in its map");
        TRY_ASSIGN(const char* const next, block());
        if (next == nullptr) return malformed("it ends in a sparse file's map");
        stored_ -= kTarBlock;
        unread = {next, kTarBlock};
      }
      const char c = unread.front();
      unread.remove_prefix(1);
      if (c == '\n') break;
      line += c;
      if (line.size() > 20) return malformed("a sparse file's map is none");
    }
    const auto value = size_of(line);
    if (!value) return malformed("a sparse file's map is none");
    return *value;
  };
  TRY_ASSIGN(const std::uint64_t count, number());
  if (count > kMostExtents) return malformed("a sparse file of too many parts");
  for (std::uint64_t i = 0; i < count; ++i) {
    TarExtent extent;
    TRY_ASSIGN(extent.offset, number());
    TRY_ASSIGN(extent.size, number());
    extents_.push_back(extent);
  }
  return {};
}

// In order, apart from each other, inside of the file, and together what the archive holds.
Result<void> TarReader::check_extents(std::uint64_t real_size) {
  std::uint64_t end = 0;
  std::uint64_t total = 0;
  for (const TarExtent& extent : extents_) {
    if (extent.offset < end || extent.offset > real_size || extent.size > real_size - extent.offset)
      return malformed("a sparse file's parts overlap or lie outside of it");
    end = extent.offset + extent.size;
    total += extent.size;
  }
  if (total != stored_) return malformed("a sparse file's parts are not what it holds");
  return {};
}

}  // namespace bulkhead::storage
