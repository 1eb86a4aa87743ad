#include "storage/unpack/extract.h"

#include <sys/stat.h>

#include "base/text.h"
#include "storage/tar/entry_path.h"
#include "storage/tar/tar_reader.h"
#include "storage/unpack/layer_tree.h"
#include "storage/unpack/limits_file.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

Result<std::uint32_t> id_of(std::int64_t id, std::string_view path) {
  // 2^32-1 is "no change" to chown(2).
  if (id < 0 || id >= 0xFFFFFFFFLL)
    return fail(ErrorKind::kInvalid,
                "the layer gives " + quoted(path) + " to the impossible id " + std::to_string(id));
  return static_cast<std::uint32_t>(id);
}

Result<void> unpacked(const EntryPath& path, Result<void> done) {
  if (done) return done;
  return std::unexpected(std::move(done).error().within("unpacking " + quoted(path.whole())));
}

class Extraction {
 public:
  Extraction(TarReader& reader, int directory, LayerActs& acts, const ExtractLimits& limits)
      : reader_(reader), tree_(directory, acts), limits_(limits) {}

  Result<void> entry(TarEntry& entry);
  Result<ExtractReport> finish() &&;

 private:
  Result<Metadata> metadata_of(TarEntry& entry) const;
  Result<void> whiteout(const EntryPath& path, const WhiteoutName& name);
  Result<void> ordinary(TarEntry& entry, const EntryPath& path);
  Result<void> regular(const TarEntry& entry, const EntryPath& path, const Metadata& metadata);
  Result<void> device(const TarEntry& entry, const EntryPath& path, const Metadata& metadata);
  Result<void> content(int fd, std::uint64_t size);

  TarReader& reader_;
  LayerTree tree_;
  const ExtractLimits& limits_;
  ExtractReport report_;
};

Result<Metadata> Extraction::metadata_of(TarEntry& entry) const {
  Metadata metadata;
  TRY_ASSIGN(metadata.uid, id_of(entry.uid, entry.path));
  TRY_ASSIGN(metadata.gid, id_of(entry.gid, entry.path));
  metadata.mode = entry.mode;
  metadata.modified = entry.modified;
  std::uint64_t total = 0;
  for (auto& [name, value] : entry.attributes) {
    if (!is_attribute_kept(name)) continue;
    total += value.size();
    if (total > limits_.attribute_bytes)
      return fail(ErrorKind::kInvalid,
                  "the layer has too many extended attributes on " + quoted(entry.path));
    metadata.attributes.emplace_back(std::move(name), std::move(value));
  }
  return metadata;
}

Result<void> Extraction::whiteout(const EntryPath& path, const WhiteoutName& name) {
  if (name.kind == Whiteout::kOpaque) return tree_.make_opaque(path.parent);
  return tree_.make_whiteout(path.parent, std::string(name.hidden));
}

// Gaps are holes.
Result<void> Extraction::content(int fd, std::uint64_t size) {
  std::uint64_t at = 0;
  for (;;) {
    TRY_ASSIGN(const TarPiece piece, reader_.content());
    if (piece.bytes.empty()) break;
    const auto offset = static_cast<off_t>(piece.offset);
    if (piece.offset != at && ::lseek(fd, offset, SEEK_SET) != offset)
      return std::unexpected(Error(SysError{"lseek", errno}));
    TRY(write_all(fd, piece.bytes.data(), piece.bytes.size()));
    at = piece.offset + piece.bytes.size();
  }
  if (at != size && ::ftruncate(fd, static_cast<off_t>(size)) != 0)
    return std::unexpected(Error(SysError{"ftruncate", errno}));
  return {};
}

Result<void> Extraction::regular(const TarEntry& entry, const EntryPath& path,
                                 const Metadata& metadata) {
  if (entry.size > limits_.bytes || report_.bytes > limits_.bytes - entry.size)
    return fail(ErrorKind::kInvalid,
                "the layer unpacks to more than " + std::to_string(limits_.bytes) + " bytes",
                "if it is to be that large, raise `bytes` in " + std::string(kLimitsFile));
  report_.bytes += entry.size;
  TRY_ASSIGN(const Fd file, tree_.make_file(path, metadata));
  TRY_WITHIN("writing " + quoted(path.whole()), content(file.get(), entry.size));
  return tree_.finish_file(file.get(), metadata, path);
}

Result<void> Extraction::device(const TarEntry& entry, const EntryPath& path,
                                const Metadata& metadata) {
  TRY_ASSIGN(const Act done,
             tree_.make_device(path, {.is_block = entry.type == TarType::kBlockDevice,
                                      .major = entry.major,
                                      .minor = entry.minor,
                                      .mode = metadata.mode,
                                      .uid = metadata.uid,
                                      .gid = metadata.gid,
                                      .modified = metadata.modified}));
  if (done == Act::kLeftOut) ++report_.skipped_devices;
  return {};
}

Result<void> Extraction::ordinary(TarEntry& entry, const EntryPath& path) {
  if (entry.type == TarType::kHardLink) {
    TRY_ASSIGN(const EntryPath existing, parse_entry_path(entry.link, limits_.path_length));
    return tree_.make_hard_link(path, existing);
  }
  TRY_ASSIGN(const Metadata metadata, metadata_of(entry));
  switch (entry.type) {
    case TarType::kFile: return regular(entry, path, metadata);
    case TarType::kDirectory: return tree_.make_directory(path, metadata);
    case TarType::kSymbolicLink:
      if (entry.link.empty())
        return fail(ErrorKind::kInvalid, "the layer has a symbolic link to nothing");
      return tree_.make_symbolic_link(path, entry.link, metadata);
    case TarType::kFifo: return tree_.make_fifo(path, metadata);
    case TarType::kCharacterDevice:
    case TarType::kBlockDevice: return device(entry, path, metadata);
    case TarType::kHardLink: break;
  }
  return fail(ErrorKind::kInternal, "an entry of an unknown type");
}

Result<void> Extraction::entry(TarEntry& entry) {
  if (++report_.entries > limits_.entries)
    return fail(ErrorKind::kInvalid,
                "the layer has more than " + std::to_string(limits_.entries) + " entries",
                "if it is to be that large, raise `entries` in " + std::string(kLimitsFile));
  TRY_ASSIGN(const EntryPath path, parse_entry_path(entry.path, limits_.path_length));
  if (!limits_.whiteouts) return unpacked(path, ordinary(entry, path));
  std::string_view rest = path.parent;
  while (!rest.empty()) {
    TRY_ASSIGN(const WhiteoutName name, parse_whiteout(next_field(rest, '/')));
    if (name.kind == Whiteout::kReserved) return {};
    if (name.kind != Whiteout::kNone)
      return fail(ErrorKind::kInvalid,
                  "the layer has something beneath a whiteout: " + quoted(entry.path));
  }
  TRY_ASSIGN(const WhiteoutName name, parse_whiteout(path.name));
  if (name.kind == Whiteout::kReserved) return {};
  return unpacked(path,
                  name.kind != Whiteout::kNone ? whiteout(path, name) : ordinary(entry, path));
}

Result<ExtractReport> Extraction::finish() && {
  TRY(tree_.finish());
  report_.skipped_attributes = tree_.skipped_attributes();
  std::size_t bytes = 0;
  for (const std::string& path : tree_.implied())
    if ((bytes += path.size() + 1) > kMostImpliedBytes)
      return fail(ErrorKind::kInvalid,
                  "the layer has no entries for too many of the directories that it writes in");
  report_.tree.implied.assign(tree_.implied().begin(), tree_.implied().end());
  return report_;
}

}  // namespace

Result<ExtractReport> extract_layer(int input, int directory, LayerActs& acts,
                                    const ExtractLimits& limits) {
  // Files are made with the mode that they are to have.
  (void)::umask(0);
  TarReader reader(input);
  Extraction extraction(reader, directory, acts, limits);
  TarEntry entry;
  for (;;) {
    TRY_ASSIGN(const bool more, reader.next(entry));
    if (!more) return std::move(extraction).finish();
    TRY(extraction.entry(entry));
  }
}

}  // namespace bulkhead::storage
