// What the runtime keeps beside CRIU's own files in the directory of a checkpoint.
//
//   descriptors.json   what descriptors 0 to 2 of the first process were, as a list of names: what
//                      other runtimes write there, too
//   bulkhead.json      the mounts that CRIU was told are external
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/external_mounts.h"

namespace bulkhead::runtime {

struct CheckpointImage {
  std::vector<std::string> descriptors;  // "pipe:[12345]", "file[2a:77]", "/dev/pts/0"
  // Absent: another runtime's checkpoint.
  std::optional<std::vector<ExternalMount>> mounts;
};

std::string encode_descriptors(const std::vector<std::string>& descriptors);
Result<std::vector<std::string>> decode_descriptors(std::string_view text);
std::string encode_external_mounts(const std::vector<ExternalMount>& mounts);
Result<std::vector<ExternalMount>> decode_external_mounts(std::string_view text);

// `directory`: the image's, open.
Result<void> write_checkpoint_image(int directory, const CheckpointImage& image);
// kNotFound when there is no checkpoint, or only what a pre-dump left.
Result<CheckpointImage> read_checkpoint_image(int directory, const std::string& path);

}  // namespace bulkhead::runtime
