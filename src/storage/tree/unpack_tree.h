// Making the files of a tar in a directory that has files already, as `cp` does it: the archive is
// hostile, and where it comes out of a container, so is whoever packed it.
//
// Every parent is resolved from the directory's descriptor, and the last component is never followed.
// Names that lead upwards are refused.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/tar/entry_path.h"
#include "storage/tar/tar_reader.h"
#include "storage/tree/pack_tree.h"
#include "sys/fd.h"

namespace bulkhead::storage {

enum class Links {
  kRefuse,  // a symbolic link on the way to an entry is an error
  kFollow,  // it leads to where it leads for this process, whose root directory is all that there is
};

enum class Owners {
  kOurs,      // files are this process's
  kArchived,  // as the archive has it
};

struct UnpackRules {
  Links links = Links::kRefuse;
  Owners owners = Owners::kOurs;
  // The archived ids mean nothing here: setuid and setgid bits and file capabilities are left out even
  // of files whose id is ours by number.
  bool foreign = true;
};

class TreeUnpacker {
 public:
  TreeUnpacker(int directory, const UnpackRules& rules, Progress progress);

  // The whole archive. The umask must be 0.
  Result<void> unpack(TarReader& archive);
  const TreeNotes& notes() const { return notes_; }

 private:
  struct Later {
    std::string path;
    timespec modified{};
  };
  Result<Fd> open_parent(const EntryPath& path);
  Result<Fd> open_directory(const std::string& path) const;
  Result<void> entry(TarReader& archive, TarEntry& entry);
  Result<void> directory(const TarEntry& entry, const EntryPath& path);
  Result<void> file(TarReader& archive, const TarEntry& entry, const EntryPath& path);
  Result<void> link(const TarEntry& entry, const EntryPath& path);
  Result<void> other(const TarEntry& entry, const EntryPath& path);
  // What stands where a new entry goes is removed; nothing when it cannot be, being mounted: then it is
  // written to.
  Result<bool> clear(int parent, const EntryPath& path);
  Result<void> metadata(int fd, const TarEntry& entry);
  Result<void> content(TarReader& archive, int fd, std::uint64_t size);
  mode_t mode_of(const TarEntry& entry) const;
  bool keeps_privileges(const TarEntry& entry) const;

  int directory_;
  UnpackRules rules_;
  Progress progress_;
  std::uint64_t resolve_;
  uid_t own_uid_;
  gid_t own_gid_;
  TreeNotes notes_;
  std::vector<Later> directories_;  // get their times last: every entry made in them changes these
};

}  // namespace bulkhead::storage
