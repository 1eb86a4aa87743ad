// The side of `cp` that is this host's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "engine/copy_path.h"
#include "storage/tree/pack_tree.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// A directory that a container's files go to.
class LocalRoot {
 public:
  static Result<LocalRoot> open(const std::string& path);
  // In a process of its own: the directory becomes the root directory, on mounts of its own that show no
  // device, in namespaces without network. Whatever the archive says, there is nothing else to reach.
  Result<void> enter() const;

 private:
  explicit LocalRoot(Fd directory) : directory_(std::move(directory)) {}
  Fd directory_;
};

// Whether it is a directory. An error when there is nothing.
Result<bool> examine_local(const CopyPath& path, bool follow);

// Writes it to the pipe as an archive, its entries beginning with `name`.
Result<storage::TreeNotes> pack_local(const CopyPath& path, bool follow, const std::string& name,
                                      int pipe, const std::function<void(std::uint64_t)>& progress);

}  // namespace bulkhead::engine
