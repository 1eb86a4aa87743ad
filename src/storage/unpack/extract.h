// Writing one layer's tar into a directory, in the form that overlayfs takes as a lower layer. The
// tar is hostile: it may name parents, absolute paths, links out of the tree, devices, and more than
// fits. So every path is resolved beneath the directory by the kernel, last components are never
// followed, and everything is counted against a limit.
//
// Whiteouts (".wh.NAME") become character devices 0:0. Opaque directories (".wh..wh..opq") and device
// nodes need a privilege that who parses a tar should not have: LayerActs does them.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "storage/tree_record.h"
#include "storage/unpack/layer_acts.h"

namespace bulkhead::storage {

struct ExtractLimits {
  std::uint64_t entries = 4'000'000;
  std::uint64_t bytes = std::uint64_t{128} << 30;  // of file content, holes included
  std::uint64_t path_length = 4095;
  std::uint64_t attribute_bytes = 64 << 10;  // of one entry's extended attributes
  std::uint64_t acts = 100'000;              // opaque directories and device nodes
  // How many times as large as its blob a layer's tar may be, once it is larger than `ratio_from`.
  // Files of other than zeros seldom reach 20; gzip cannot pass 1032, zstd can 30,000.
  std::uint64_t ratio = 200;
  std::uint64_t ratio_from = std::uint64_t{1} << 30;
  // Whether names that begin with ".wh." hide what lies below, as in a layer; else they are names.
  bool whiteouts = true;
};

struct ExtractReport {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t skipped_devices = 0;  // for lack of privilege, or for being whiteouts in disguise
  std::uint64_t skipped_attributes = 0;  // that the file system does not have
  // What unpack_layer() computed on the way, hex: of the blob, and of the tar in it.
  std::string digest = {};
  std::string diff_id = {};
  // What unpack_layers() has found in the directory; `implied` is the extractor's word.
  TreeRecord tree = {};
};

// Reads the tar from `input` to its end and writes it beneath `directory`, which must be empty and
// without ACLs. Owners and modes are set as the tar says (setuid bits too), so this needs CAP_CHOWN,
// CAP_FOWNER, CAP_FSETID, CAP_DAC_OVERRIDE and CAP_SETFCAP. Sets the umask to 0.
Result<ExtractReport> extract_layer(int input, int directory, LayerActs& acts,
                                    const ExtractLimits& limits = {});

}  // namespace bulkhead::storage
