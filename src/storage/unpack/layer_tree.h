// The directory that a layer is being unpacked into: every operation that writes to it, by
// descriptor. Parents are resolved beneath the directory by openat2(2) with RESOLVE_IN_ROOT, so that
// links of the layer, absolute ones too, lead nowhere else; the last component is never followed.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/unpack/entry_path.h"
#include "sys/fd.h"

namespace bulkhead::storage {

struct Metadata {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  mode_t mode = 0755;
  timespec modified{};
  std::vector<std::pair<std::string, std::string>> attributes;
};

// user.* (but user.overlay.*, which overlayfs may read) and security.capability. Labels and ACLs are
// the host's policy, not an image's, and trusted.overlay.* would steer the overlay itself.
bool is_attribute_kept(std::string_view name);

class LayerTree {
 public:
  // Does not own the descriptor.
  explicit LayerTree(int root) : root_(root) {}

  // Makes what is missing on the way (mode 0755, root's). Valid until the next call.
  Result<int> open_directory(const std::string& path);

  Result<void> make_directory(const EntryPath& path, const Metadata& metadata);
  // Empty and open for writing; finish_file() then gives it its owner, mode and attributes.
  Result<Fd> make_file(const EntryPath& path);
  Result<void> finish_file(int fd, const Metadata& metadata, const EntryPath& path);
  Result<void> make_symbolic_link(const EntryPath& path, const std::string& target,
                                  const Metadata& metadata);
  Result<void> make_hard_link(const EntryPath& path, const EntryPath& existing);
  Result<void> make_fifo(const EntryPath& path, const Metadata& metadata);
  Result<void> make_whiteout(const std::string& parent, const std::string& name);
  // The directory hides what the layers below have in its place.
  Result<void> make_opaque(const std::string& path);

  // Directories get their times last, because every entry made in them changes these.
  Result<void> finish();
  // Paths of the directories that have to be marked opaque; may name one twice.
  const std::vector<std::string>& opaque_directories() const { return opaque_; }

 private:
  Result<Fd> open_beneath(const std::string& path) const;
  // Removes what stands where a new entry goes, as a later entry of a tar replaces an earlier one.
  Result<void> clear(int parent, const std::string& name);
  Result<void> make_directory_at(int parent, const std::string& parent_path,
                                 const std::string& name);
  Result<void> set_metadata(int fd, const Metadata& metadata, std::string_view path) const;
  Result<void> require_name(const EntryPath& path) const;

  int root_;
  std::string cached_path_;
  Fd cached_;
  bool cache_holds_ = false;
  std::vector<std::pair<std::string, timespec>> directory_times_;
  std::vector<std::string> opaque_;
};

}  // namespace bulkhead::storage
