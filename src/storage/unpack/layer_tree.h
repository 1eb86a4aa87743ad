// The directory that a layer is being unpacked into: every operation that writes to it, by
// descriptor. Parents are resolved beneath the directory by openat2(2) with RESOLVE_IN_ROOT, so that
// links of the layer, absolute ones too, lead nowhere else; the last component is never followed.
//
// A file costs four system calls when it is root's and has a usual mode: open, write, its time, close.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/tar/entry_path.h"
#include "storage/unpack/layer_acts.h"
#include "sys/fd.h"

namespace bulkhead::storage {

struct Metadata {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  mode_t mode = 0755;
  timespec modified{};
  std::vector<std::pair<std::string, std::string>> attributes;
};

// user.* (but user.overlay.*, which overlayfs may read), security.capability, and ACLs. Labels are the
// host's policy, not an image's, and trusted.* would steer the overlay itself.
bool is_attribute_kept(std::string_view name);

// The umask must be 0.
class LayerTree {
 public:
  // Does not own the descriptor.
  LayerTree(int root, LayerActs& acts);

  Result<void> make_directory(const EntryPath& path, const Metadata& metadata);
  // Empty and open for writing; finish_file() then gives it its owner, mode and attributes.
  Result<Fd> make_file(const EntryPath& path, const Metadata& metadata);
  Result<void> finish_file(int fd, const Metadata& metadata, const EntryPath& path);
  Result<void> make_symbolic_link(const EntryPath& path, const std::string& target,
                                  const Metadata& metadata);
  Result<void> make_hard_link(const EntryPath& path, const EntryPath& existing);
  Result<void> make_fifo(const EntryPath& path, const Metadata& metadata);
  Result<Act> make_device(const EntryPath& path, const DeviceNode& node);
  Result<void> make_whiteout(const std::string& parent, const std::string& name);
  // The directory hides what the layers below have in its place.
  Result<void> make_opaque(const std::string& path);

  // Directories get their times last, because every entry made in them changes these, and their ACLs,
  // because files that are made in them would inherit one.
  Result<void> finish();
  std::uint64_t skipped_attributes() const { return skipped_attributes_; }
  // Directories, from the top one, "", that something was written in, but that have no entry of their
  // own: as they are here, they are nobody's wish. Known after finish().
  const std::set<std::string>& implied() const { return implied_; }

 private:
  struct Open {
    std::string path;
    Fd directory;
  };
  struct Later {
    timespec modified{};
    std::vector<std::pair<std::string, std::string>> acls;
  };
  enum class Made { kNew, kAlreadyThere };

  // Makes what is missing on the way (mode 0755, root's, of 1970). Valid until a few others have been opened.
  Result<int> open_directory(const std::string& path);
  Result<Fd> open_beneath(const std::string& path) const;
  // Removes what stands where a new entry goes, as a later entry of a tar replaces an earlier one.
  Result<void> clear(int parent, const std::string& name);
  Result<Made> make_directory_at(int parent, const std::string& parent_path,
                                 const std::string& name, mode_t mode);
  bool needs_owner(const Metadata& metadata) const;
  Result<void> set_metadata(int fd, const Metadata& metadata, std::string_view path);
  Result<void> set_attribute(int fd, const std::string& name, const std::string& value,
                             std::string_view path);
  Result<void> require_name(const EntryPath& path) const;
  Result<void> finish_implied();

  int root_;
  LayerActs& acts_;
  std::uint32_t own_uid_;
  std::uint32_t own_gid_;
  // A directory of another group, or one that hands its group on (setgid), has been made: new files
  // may have a group that is not ours.
  bool groups_vary_ = false;
  std::vector<Open> open_;      // the last used first
  bool open_is_stale_ = false;  // something was removed that may have been on the way to one
  std::map<std::string, Later> directories_;
  std::set<std::string> implied_{""};
  std::uint64_t skipped_attributes_ = 0;
};

}  // namespace bulkhead::storage
