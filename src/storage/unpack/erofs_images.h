// Making EROFS images of layers that are in the store as directories. mkfs.erofs does the work: a
// program of others, which reads a directory that strangers have filled, so it is locked in as the
// workers of confinement.h are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

// How large an image may become: a few times what the layer takes up on the disk. A file that is one
// hole becomes as many zeros in an image, and a stranger's layer may have holes of any size.
inline constexpr std::uint64_t kImageGrowth = 4;
inline constexpr std::uint64_t kImageAllowance = std::uint64_t{256} << 20;

// Where the locked-in program finds what it works on.
inline constexpr const char* kWriterLayer = "/layer";    // read-only
inline constexpr const char* kWriterOutput = "/output";  // a directory, empty

class ErofsWriterConfinement {
 public:
  virtual ~ErofsWriterConfinement() = default;
  // In a new process: returns locked in, with nothing of the host but its programs' directories and the
  // two given ones, at the places above; or the process ends. Then the program is executed.
  virtual Result<void> enter(int layer, int output) = 0;
};

// Makes layers-erofs/<diff id>.erofs for each that is not there yet. Each appears whole, by one rename
// after an fsync; what a killed call leaves is removed by the next. One at a time, by a lock.
Result<void> make_erofs_images(const std::string& store, const std::vector<std::string>& diff_ids,
                               ErofsWriterConfinement& confinement);

}  // namespace bulkhead::storage
