// Writing a file or a directory with everything beneath it as a tar, by descriptor alone: no symbolic
// link is followed, whoever changes the tree meanwhile, and nothing but regular files and directories is
// opened.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/tar/tar_stream.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// What the caller should know of what was left out or changed.
struct TreeNotes {
  std::uint64_t bytes = 0;  // of files
  std::uint64_t entries = 0;
  std::uint64_t sockets = 0;    // left out: a tar has none
  std::uint64_t devices = 0;    // left out
  std::uint64_t shortened = 0;  // became shorter while they were read: filled up with zeros
};

// Told how many bytes of files have passed; may be empty.
using Progress = std::function<void(std::uint64_t)>;

// Deeper trees are refused: each directory on the way is held open.
inline constexpr std::size_t kMostDepth = 512;

class TreePacker {
 public:
  TreePacker(TarStream& output, Progress progress)
      : output_(output), progress_(std::move(progress)) {}

  // `name` in `directory`, as entries that begin with `as` ("." for a directory whose content alone is
  // meant). `name` may be "." as well.
  Result<void> pack(int directory, const std::string& name, const std::string& as);
  const TreeNotes& notes() const { return notes_; }

 private:
  struct Level {
    Fd directory;
    std::string path;                // in the archive
    std::vector<std::string> names;  // still to come, the last first
  };
  Result<void> entry(int directory, const std::string& name, const std::string& path);
  Result<void> file(int directory, const std::string& name, TarEntry entry);
  Result<void> enter(Fd directory, const std::string& path);
  Result<void> content(int file, const TarEntry& entry);
  Result<void> piece(int file, std::uint64_t offset, std::uint64_t size);

  TarStream& output_;
  Progress progress_;
  TreeNotes notes_;
  std::vector<Level> levels_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // files of several names, by the first
  std::vector<char> buffer_;
};

}  // namespace bulkhead::storage
