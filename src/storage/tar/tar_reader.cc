#include "storage/tar/tar_reader.h"

#include <unistd.h>

#include <algorithm>

#include "storage/tar/tar_fields.h"
#include "sys/error.h"

namespace bulkhead::storage {
namespace {

// Of one header that stands before an entry; the longest path is far shorter.
constexpr std::uint64_t kMostAhead = 1 << 20;

std::unexpected<Error> malformed(const std::string& what) {
  return fail(ErrorKind::kInvalid, "the tar archive is malformed: " + what);
}

bool is_zero(const char* block) {
  return std::all_of(block, block + kTarBlock, [](char c) { return c == '\0'; });
}

std::uint64_t padding_of(std::uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

std::optional<TarType> type_of(char flag, std::string_view path) {
  switch (flag) {
    case '\0':  // before POSIX, a slash at the end made a directory
      return path.ends_with('/') ? TarType::kDirectory : TarType::kFile;
    case '0':
    case '7':  // contiguous, which no file system knows
    case 'S': return TarType::kFile;
    case '1': return TarType::kHardLink;
    case '2': return TarType::kSymbolicLink;
    case '3': return TarType::kCharacterDevice;
    case '4': return TarType::kBlockDevice;
    case '5': return TarType::kDirectory;
    case '6': return TarType::kFifo;
    default: return std::nullopt;
  }
}

bool is_ahead(char type) { return type == 'x' || type == 'g' || type == 'L' || type == 'K'; }

std::string path_of(const char* header) {
  using namespace std::literals;
  const std::string_view name = tar_text(header, kTarName);
  if (tar_bytes(header, kTarMagic) != "ustar\00000"sv) return std::string(name);
  const bool star = tar_bytes(header, kStarTrailer) == "tar\0"sv;
  std::string path(tar_text(header, star ? kStarPrefix : kTarPrefix));
  if (!path.empty()) path += '/';
  return path.append(name);
}

}  // namespace

Result<bool> TarReader::fill() {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  for (;;) {
    const ssize_t size = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(Error(SysError{"read", errno}));
    end_ += static_cast<std::size_t>(size);
    return size > 0;
  }
}

Result<const char*> TarReader::block() {
  while (end_ - begin_ < kTarBlock) {
    TRY_ASSIGN(const bool more, fill());
    if (more) continue;
    if (begin_ == end_) return nullptr;
    return malformed("it ends in the middle of a header");
  }
  const char* const block = buffer_.data() + begin_;
  begin_ += kTarBlock;
  return block;
}

Result<std::string> TarReader::body(std::uint64_t size, const char* what) {
  if (size > kMostAhead)
    return malformed(std::string(what) + " of " + std::to_string(size) + " bytes");
  const std::uint64_t whole = size + padding_of(size);
  std::string text;
  while (text.size() < whole) {
    TRY_ASSIGN(const char* const next, block());
    if (next == nullptr) return malformed(std::string("it ends in ") + what);
    text.append(next, kTarBlock);
  }
  text.resize(size);
  return text;
}

Result<void> TarReader::skip(std::uint64_t size) {
  while (size > 0) {
    if (begin_ == end_) {
      TRY_ASSIGN(const bool more, fill());
      if (!more) return malformed("it ends in the middle of an entry");
    }
    const std::uint64_t count = std::min<std::uint64_t>(size, end_ - begin_);
    begin_ += count;
    size -= count;
  }
  return {};
}

Result<void> TarReader::finish_content() {
  TRY(skip(stored_));
  stored_ = 0;
  return skip(std::exchange(padding_, 0));
}

// Behind the mark nothing may follow but zeros that round the archive off; whoever writes to us counts
// on its being read all the same.
Result<bool> TarReader::end_of_archive() {
  at_end_ = true;
  TRY_ASSIGN(const char* const second, block());
  if (second != nullptr && !is_zero(second)) return malformed("it goes on behind its end");
  for (;;) {
    begin_ = end_ = 0;
    TRY_ASSIGN(const bool more, fill());
    if (!more) return false;
  }
}

Result<bool> TarReader::next(TarEntry& entry) {
  if (at_end_) return false;
  TRY(finish_content());
  Ahead ahead;
  for (;;) {
    TRY_ASSIGN(const char* const header, block());
    if (header == nullptr) {
      if (ahead.has_pax || !ahead.long_name.empty() || !ahead.long_link.empty())
        return malformed("it ends behind an extended header");
      at_end_ = true;
      return false;
    }
    if (is_zero(header)) return end_of_archive();
    if (!tar_checksum_holds(header)) return malformed("a header's checksum is wrong");
    const char type = header[kTarType];
    if (!is_ahead(type)) {
      TRY(apply(header, ahead, entry));
      return true;
    }
    const auto size = tar_number(header, kTarSize);
    if (!size || *size < 0) return malformed("an extended header of an impossible size");
    TRY(read_ahead(type, static_cast<std::uint64_t>(*size), ahead));
  }
}

Result<void> TarReader::read_ahead(char type, std::uint64_t size, Ahead& ahead) {
  TRY_ASSIGN(std::string text, body(size, "an extended header"));
  switch (type) {
    case 'x':
      if (ahead.has_pax) return malformed("two extended headers for one entry");
      ahead.has_pax = true;
      return parse_pax(text, ahead);
    case 'L':
    case 'K': {
      std::string& name = type == 'L' ? ahead.long_name : ahead.long_link;
      if (!name.empty()) return malformed("two long names for one entry");
      name = text.substr(0, text.find('\0'));
      if (name.empty()) return malformed("an empty long name");
      return {};
    }
    default: return {};  // 'g'
  }
}

// As the header says it, and then as those before it say.
Result<void> TarReader::apply(const char* header, Ahead& ahead, TarEntry& entry) {
  entry = {};
  entry.path = path_of(header);
  entry.link = tar_text(header, kTarLink);
  if ((!ahead.long_name.empty() && ahead.pax.contains("path")) ||
      (!ahead.long_link.empty() && ahead.pax.contains("linkpath")))
    return malformed("two different kinds of long name for one entry");
  if (!ahead.long_name.empty()) entry.path = std::move(ahead.long_name);
  if (!ahead.long_link.empty()) entry.link = std::move(ahead.long_link);
  const auto mode = tar_number(header, kTarMode);
  const auto uid = tar_number(header, kTarUid);
  const auto gid = tar_number(header, kTarGid);
  const auto size = tar_number(header, kTarSize);
  const auto modified = tar_number(header, kTarModified);
  if (!mode || !uid || !gid || !size || *size < 0 || !modified)
    return malformed("an impossible number in the header of " + quoted(entry.path));
  entry.mode = static_cast<mode_t>(*mode) & 07777;
  entry.uid = *uid;
  entry.gid = *gid;
  entry.size = static_cast<std::uint64_t>(*size);
  entry.modified.tv_sec = *modified;
  TRY(apply_pax(ahead, entry));
  const char flag = header[kTarType];
  const auto type = type_of(flag, entry.path);
  if (!type)
    return fail(ErrorKind::kInvalid, "the tar archive has an entry of an unknown type " +
                                         quoted(std::string_view(&flag, 1)) + ": " +
                                         quoted(entry.path));
  entry.type = *type;
  if (*type == TarType::kCharacterDevice || *type == TarType::kBlockDevice) {
    const auto major = tar_number(header, kTarMajor);
    const auto minor = tar_number(header, kTarMinor);
    // What the kernel's numbers have room for.
    if (!major || *major < 0 || *major >= 1 << 12 || !minor || *minor < 0 || *minor >= 1 << 20)
      return malformed("an impossible device number of " + quoted(entry.path));
    entry.major = static_cast<std::uint32_t>(*major);
    entry.minor = static_cast<std::uint32_t>(*minor);
  }
  if (*type != TarType::kFile) entry.size = 0;
  stored_ = entry.size;
  padding_ = padding_of(entry.size);
  offset_ = 0;
  return find_extents(header, ahead, entry);
}

Result<TarPiece> TarReader::content() {
  if (sparse_) {
    while (extent_ < extents_.size() && extents_[extent_].size == 0) ++extent_;
    if (extent_ == extents_.size()) return TarPiece{};
    offset_ = extents_[extent_].offset;
  }
  if (stored_ == 0) return TarPiece{};
  if (begin_ == end_) {
    TRY_ASSIGN(const bool more, fill());
    if (!more) return malformed("it ends in the middle of a file");
  }
  std::uint64_t count = std::min<std::uint64_t>(stored_, end_ - begin_);
  if (sparse_) count = std::min(count, extents_[extent_].size);
  const TarPiece piece{offset_, {buffer_.data() + begin_, static_cast<std::size_t>(count)}};
  begin_ += count;
  stored_ -= count;
  offset_ += count;
  if (sparse_) {
    extents_[extent_].offset += count;
    extents_[extent_].size -= count;
  }
  return piece;
}

}  // namespace bulkhead::storage
