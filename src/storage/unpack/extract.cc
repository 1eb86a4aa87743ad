#include "storage/unpack/extract.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <memory>

#include "base/text.h"
#include "storage/unpack/entry_path.h"
#include "storage/unpack/layer_tree.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

struct CloseArchive {
  void operator()(struct archive* archive) const { archive_read_free(archive); }
};
using Archive = std::unique_ptr<struct archive, CloseArchive>;

struct Input {
  int fd = -1;
  std::vector<char> buffer = std::vector<char>(std::size_t{256} << 10);
};

ssize_t read_input(struct archive*, void* client, const void** block) {
  auto& input = *static_cast<Input*>(client);
  *block = input.buffer.data();
  for (;;) {
    const ssize_t size = ::read(input.fd, input.buffer.data(), input.buffer.size());
    if (size >= 0 || errno != EINTR) return size;
  }
}

Error malformed(struct archive* archive, std::string_view doing) {
  const char* const text = archive_error_string(archive);
  return Error(ErrorKind::kInvalid,
               std::string(doing) + ": " + quoted(text != nullptr ? text : "malformed tar"));
}

Result<std::uint32_t> id_of(std::int64_t id, std::string_view path) {
  // 2^32-1 is "no change" to chown(2).
  if (id < 0 || id >= 0xFFFFFFFFLL)
    return fail(ErrorKind::kInvalid,
                "the layer gives " + quoted(path) + " to the impossible id " + std::to_string(id));
  return static_cast<std::uint32_t>(id);
}

class Extraction {
 public:
  Extraction(struct archive* archive, int directory, const ExtractLimits& limits)
      : archive_(archive), tree_(directory), limits_(limits) {}

  Result<void> entry(struct archive_entry* entry);
  Result<ExtractReport> finish() &&;

 private:
  Result<Metadata> metadata_of(struct archive_entry* entry, std::string_view path) const;
  Result<void> whiteout(const EntryPath& path, const WhiteoutName& name);
  Result<void> ordinary(struct archive_entry* entry, const EntryPath& path, std::string_view text);
  Result<void> regular(struct archive_entry* entry, const EntryPath& path,
                       const Metadata& metadata);
  Result<void> content(int fd, std::uint64_t size);

  struct archive* archive_;
  LayerTree tree_;
  const ExtractLimits& limits_;
  ExtractReport report_;
};

Result<Metadata> Extraction::metadata_of(struct archive_entry* entry, std::string_view path) const {
  Metadata metadata;
  TRY_ASSIGN(metadata.uid, id_of(archive_entry_uid(entry), path));
  TRY_ASSIGN(metadata.gid, id_of(archive_entry_gid(entry), path));
  metadata.mode = archive_entry_perm(entry) & 07777;
  metadata.modified = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  std::uint64_t total = 0;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr || !is_attribute_kept(name)) continue;
    total += size;
    if (total > limits_.attribute_bytes)
      return fail(ErrorKind::kInvalid,
                  "the layer has too many extended attributes on " + quoted(path));
    metadata.attributes.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  return metadata;
}

Result<void> Extraction::whiteout(const EntryPath& path, const WhiteoutName& name) {
  if (name.kind == Whiteout::kOpaque) return tree_.make_opaque(path.parent);
  return tree_.make_whiteout(path.parent, std::string(name.hidden));
}

// Copies what libarchive hands out to where it belongs; gaps are holes.
Result<void> Extraction::content(int fd, std::uint64_t size) {
  for (;;) {
    const void* block = nullptr;
    std::size_t length = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(archive_, &block, &length, &offset);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK) return std::unexpected(malformed(archive_, "reading the layer"));
    if (offset < 0 || static_cast<std::uint64_t>(offset) > size ||
        length > size - static_cast<std::uint64_t>(offset))
      return fail(ErrorKind::kInvalid, "the layer has more content in a file than it says");
    if (length != 0 && ::lseek(fd, offset, SEEK_SET) != offset)
      return std::unexpected(Error(SysError{"lseek", errno}));
    TRY(write_all(fd, block, length));
  }
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0)
    return std::unexpected(Error(SysError{"ftruncate", errno}));
  return {};
}

Result<void> Extraction::regular(struct archive_entry* entry, const EntryPath& path,
                                 const Metadata& metadata) {
  const std::int64_t signed_size = archive_entry_size(entry);
  const auto size = static_cast<std::uint64_t>(signed_size);
  if (signed_size < 0 || size > limits_.bytes || report_.bytes > limits_.bytes - size)
    return fail(ErrorKind::kInvalid,
                "the layer unpacks to more than " + std::to_string(limits_.bytes) + " bytes");
  report_.bytes += size;
  TRY_ASSIGN(const Fd file, tree_.make_file(path));
  TRY_WITHIN("writing " + quoted(path.whole()), content(file.get(), size));
  return tree_.finish_file(file.get(), metadata, path);
}

Result<void> Extraction::ordinary(struct archive_entry* entry, const EntryPath& path,
                                  std::string_view text) {
  if (const char* const target = archive_entry_hardlink(entry)) {
    TRY_ASSIGN(const EntryPath existing, parse_entry_path(target, limits_.path_length));
    return tree_.make_hard_link(path, existing);
  }
  TRY_ASSIGN(const Metadata metadata, metadata_of(entry, text));
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG: return regular(entry, path, metadata);
    case AE_IFDIR: return tree_.make_directory(path, metadata);
    case AE_IFLNK: {
      const char* const target = archive_entry_symlink(entry);
      if (target == nullptr || *target == '\0')
        return fail(ErrorKind::kInvalid,
                    "the layer has a symbolic link to nothing: " + quoted(text));
      return tree_.make_symbolic_link(path, target, metadata);
    }
    case AE_IFIFO: return tree_.make_fifo(path, metadata);
    case AE_IFCHR:
    case AE_IFBLK: ++report_.skipped_devices; return {};
    default:
      return fail(ErrorKind::kInvalid,
                  "the layer has an entry of an unknown type: " + quoted(text));
  }
}

Result<void> Extraction::entry(struct archive_entry* entry) {
  if (++report_.entries > limits_.entries)
    return fail(ErrorKind::kInvalid,
                "the layer has more than " + std::to_string(limits_.entries) + " entries");
  if (tree_.opaque_directories().size() > limits_.opaque_directories)
    return fail(ErrorKind::kInvalid, "the layer has too many opaque directories");
  const char* const text = archive_entry_pathname(entry);
  if (text == nullptr) return std::unexpected(malformed(archive_, "reading a path of the layer"));
  TRY_ASSIGN(const EntryPath path, parse_entry_path(text, limits_.path_length));
  for (const std::string_view component : split(path.parent, '/')) {
    TRY_ASSIGN(const WhiteoutName name, parse_whiteout(component));
    if (name.kind == Whiteout::kReserved) return {};
    if (name.kind != Whiteout::kNone)
      return fail(ErrorKind::kInvalid,
                  "the layer has something beneath a whiteout: " + quoted(text));
  }
  TRY_ASSIGN(const WhiteoutName name, parse_whiteout(path.name));
  if (name.kind == Whiteout::kReserved) return {};
  if (name.kind != Whiteout::kNone) return whiteout(path, name);
  auto done = ordinary(entry, path, text);
  if (!done) return std::unexpected(std::move(done).error().within("unpacking " + quoted(text)));
  return {};
}

Result<ExtractReport> Extraction::finish() && {
  TRY(tree_.finish());
  report_.opaque_directories = tree_.opaque_directories();
  return std::move(report_);
}

}  // namespace

Result<ExtractReport> extract_layer(int input_fd, int directory, const ExtractLimits& limits) {
  const Archive archive(archive_read_new());
  if (!archive) return fail(ErrorKind::kSystem, "libarchive: out of memory");
  Input input;
  input.fd = input_fd;
  archive_read_support_format_tar(archive.get());
  archive_read_support_format_empty(archive.get());
  if (archive_read_open2(archive.get(), &input, nullptr, read_input, nullptr, nullptr) !=
      ARCHIVE_OK)
    return std::unexpected(malformed(archive.get(), "opening the layer"));
  Extraction extraction(archive.get(), directory, limits);
  for (;;) {
    struct archive_entry* entry = nullptr;
    const int status = archive_read_next_header(archive.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    // A warning is a path or attribute that could not be converted: then it cannot be trusted.
    if (status != ARCHIVE_OK) return std::unexpected(malformed(archive.get(), "reading the layer"));
    TRY(extraction.entry(entry));
  }
  // What follows the end mark means nothing, but whoever writes to us counts on its being read.
  for (;;) {
    const void* block = nullptr;
    if (read_input(nullptr, &input, &block) <= 0) break;
  }
  return std::move(extraction).finish();
}

}  // namespace bulkhead::storage
