// Writing one layer's tar into a directory, in the form that overlayfs takes as a lower layer. The
// tar is hostile: it may name parents, absolute paths, links out of the tree, devices, and more than
// fits. So every path is resolved beneath the directory by the kernel, last components are never
// followed, and everything is counted against a limit.
//
// Whiteouts (".wh.NAME") become character devices 0:0. Opaque directories (".wh..wh..opq") need an
// extended attribute that only a privileged process may set: they are reported, not set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

struct ExtractLimits {
  std::uint64_t entries = 4'000'000;
  std::uint64_t bytes = std::uint64_t{128} << 30;  // of file content, holes included
  std::uint64_t path_length = 4095;
  std::uint64_t attribute_bytes = 64 << 10;  // of one entry's extended attributes
  std::uint64_t opaque_directories = 100'000;
};

struct ExtractReport {
  std::vector<std::string> opaque_directories;  // paths beneath the directory
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  // Device nodes are not made: a container's /dev is its own, and a node in an image could only be
  // somebody else's disk.
  std::uint64_t skipped_devices = 0;
};

// Reads the tar from `input` to its end and writes it beneath `directory`, which must be empty.
// Owners and modes are set as the tar says (setuid bits too), so this needs CAP_CHOWN, CAP_FOWNER,
// CAP_FSETID, CAP_DAC_OVERRIDE and CAP_SETFCAP.
Result<ExtractReport> extract_layer(int input, int directory, const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
