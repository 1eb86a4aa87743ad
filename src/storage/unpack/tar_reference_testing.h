// TarReader beside libarchive: what the two make of the same bytes. Included by a test and a fuzzer only.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/tar/tar_reader.h"
#include "sys/file.h"

namespace bulkhead::storage::testing {

// One entry in words, content included: what differs can be read.
using Seen = std::vector<std::string>;

inline std::string describe(const TarEntry& entry, const std::string& content) {
  std::string path = entry.path;
  // libarchive writes directories with a slash behind them, and without.
  if (entry.type == TarType::kDirectory)
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  std::string text = path;
  const auto add = [&](std::string_view name, auto value) {
    text.append(" ").append(name).append("=").append(std::to_string(value));
  };
  add("type", static_cast<int>(entry.type));
  add("mode", entry.mode);
  add("uid", entry.uid);
  add("gid", entry.gid);
  if (entry.type != TarType::kHardLink) {
    add("time", entry.modified.tv_sec);
    add("nano", entry.modified.tv_nsec);
  }
  if (entry.type == TarType::kFile) add("size", entry.size);
  if (entry.type == TarType::kCharacterDevice || entry.type == TarType::kBlockDevice) {
    add("major", entry.major);
    add("minor", entry.minor);
  }
  if (entry.type == TarType::kHardLink || entry.type == TarType::kSymbolicLink)
    text += " link=" + entry.link;
  // A hard link's metadata is its target's.
  auto attributes = entry.attributes;
  if (entry.type == TarType::kHardLink) attributes.clear();
  std::ranges::sort(attributes);
  for (const auto& [name, value] : attributes) text += " " + name + "=" + value;
  return text + " content=" + content;
}

inline Fd memory_file_of(const std::string& bytes) {
  Fd file(::memfd_create("tar", MFD_CLOEXEC));
  (void)write_all(file.get(), bytes.data(), bytes.size());
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

// Nothing when the archive is refused, or would be larger than `limit`.
inline std::optional<Seen> seen_by_us(const std::string& tar, std::size_t limit = 1 << 20) {
  const Fd file = memory_file_of(tar);
  TarReader reader(file.get());
  Seen seen;
  TarEntry entry;
  for (;;) {
    const auto more = reader.next(entry);
    if (!more) return std::nullopt;
    if (!*more) return seen;
    if (entry.size > limit) return std::nullopt;
    std::string content(entry.size, '\0');
    for (;;) {
      const auto piece = reader.content();
      if (!piece) return std::nullopt;
      if (piece->bytes.empty()) break;
      if (piece->offset + piece->bytes.size() > content.size()) return Seen{"OUT OF BOUNDS"};
      std::ranges::copy(piece->bytes, content.begin() + static_cast<std::ptrdiff_t>(piece->offset));
    }
    seen.push_back(describe(entry, content));
  }
}

inline std::optional<TarEntry> translated(struct archive_entry* from) {
  TarEntry entry;
  const auto text = [](const char* bytes) { return std::string(bytes != nullptr ? bytes : ""); };
  entry.path = text(archive_entry_pathname(from));
  entry.mode = archive_entry_perm(from) & 07777;
  entry.uid = archive_entry_uid(from);
  entry.gid = archive_entry_gid(from);
  entry.modified.tv_sec = archive_entry_mtime(from);
  entry.modified.tv_nsec = archive_entry_mtime_nsec(from);
  if (const char* const link = archive_entry_hardlink(from)) {
    entry.type = TarType::kHardLink;
    entry.link = link;
    return entry;
  }
  switch (archive_entry_filetype(from)) {
    case AE_IFREG:
      entry.type = TarType::kFile;
      entry.size = static_cast<std::uint64_t>(archive_entry_size(from));
      break;
    case AE_IFDIR: entry.type = TarType::kDirectory; break;
    case AE_IFIFO: entry.type = TarType::kFifo; break;
    case AE_IFLNK:
      entry.type = TarType::kSymbolicLink;
      entry.link = text(archive_entry_symlink(from));
      break;
    case AE_IFCHR:
    case AE_IFBLK:
      entry.type = archive_entry_filetype(from) == AE_IFCHR ? TarType::kCharacterDevice
                                                            : TarType::kBlockDevice;
      entry.major = static_cast<std::uint32_t>(archive_entry_rdevmajor(from));
      entry.minor = static_cast<std::uint32_t>(archive_entry_rdevminor(from));
      break;
    default: return std::nullopt;
  }
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  archive_entry_xattr_reset(from);
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK)
    entry.attributes.emplace_back(text(name), std::string(static_cast<const char*>(value), size));
  return entry;
}

// Nothing when it refuses the archive, or only warns of something.
inline std::optional<Seen> seen_by_libarchive(const std::string& tar, std::size_t limit = 1 << 20) {
  struct Free {
    void operator()(struct archive* archive) const { archive_read_free(archive); }
  };
  const std::unique_ptr<struct archive, Free> archive(archive_read_new());
  archive_read_support_format_tar(archive.get());
  archive_read_support_format_empty(archive.get());
  if (archive_read_open_memory(archive.get(), tar.data(), tar.size()) != ARCHIVE_OK)
    return std::nullopt;
  Seen seen;
  for (;;) {
    struct archive_entry* from = nullptr;
    const int status = archive_read_next_header(archive.get(), &from);
    if (status == ARCHIVE_EOF) return seen;
    if (status != ARCHIVE_OK) return std::nullopt;
    const auto entry = translated(from);
    if (!entry || entry->size > limit) return std::nullopt;
    std::string content(entry->size, '\0');
    for (;;) {
      const void* block = nullptr;
      std::size_t size = 0;
      la_int64_t offset = 0;
      const int read = archive_read_data_block(archive.get(), &block, &size, &offset);
      if (read == ARCHIVE_EOF) break;
      if (read != ARCHIVE_OK) return std::nullopt;
      if (offset < 0 || static_cast<std::size_t>(offset) + size > content.size())
        return std::nullopt;
      std::copy_n(static_cast<const char*>(block), size,
                  content.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    seen.push_back(describe(*entry, content));
  }
}

}  // namespace bulkhead::storage::testing
