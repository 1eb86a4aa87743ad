// What a volume is: its name, and the record that lies beside its content. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::volumes {

using Words = std::map<std::string, std::string>;

// Docker's mark of a volume that nobody named.
inline constexpr std::string_view kAnonymousLabel = "com.docker.volume.anonymous";

struct Volume {
  std::string name;
  std::string created;  // RFC 3339
  Words labels;
  Words options;  // of the driver, as they were given
  bool anonymous() const { return labels.contains(std::string(kAnonymousLabel)); }
};

// A letter or digit, then letters, digits and "_.-"; 2 to 255 bytes: neither a path nor hidden.
bool is_volume_name(std::string_view text);

enum class Kind {
  kDirectory,  // in the store
  kImage,      // in the store, an ext4 image file: it has a size
  kBind,       // a directory of the host's
  kMemory,     // a tmpfs
};

// Of a tmpfs.
struct Memory {
  std::uint64_t bytes = 0;   // 0: half of the host's, as the kernel has it
  std::uint64_t inodes = 0;  // likewise
  std::uint32_t mode = 01777;
  std::uint32_t uid = 0;  // as containers see it
  std::uint32_t gid = 0;
};

// What the options of the local driver mean.
struct Meaning {
  Kind kind = Kind::kDirectory;
  std::uint64_t bytes = 0;                 // kImage
  std::string device;                      // kBind: absolute
  bool recursive = false;                  // kBind
  Memory memory;                           // kMemory
  bool read_only = false;                  // kBind, kMemory
  std::vector<std::string> mount_options;  // kBind, kMemory: noexec, rslave, ...
};

// "type", "o", "device" and "size", as Docker has them. kUsage for what contradicts itself, kUnsupported
// for file systems that would have to be mounted on the host.
Result<Meaning> read_options(const Words& options);

std::string encode(const Volume& volume);
Result<Volume> decode_volume(std::string_view text);

}  // namespace bulkhead::volumes
