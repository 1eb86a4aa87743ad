// How much a container may write to its root file system, enforced by the kernel: a write beyond it
// fails inside the container with ENOSPC (EDQUOT by ext4's project quota), whatever the host has left.
// Nothing here counts from time to time: a program that writes fast would be through before that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

// Whether what the container writes is kept after its end. kDiscarded spares the host the syncing of
// its whole file system at the unmount (the overlay's `volatile`, Linux 5.10).
enum class Upper { kKept, kDiscarded };

// In the order of preference.
enum class LimitMethod {
  kProjectQuota,  // of the store's own file system; costs nothing
  kImageFile,     // a sparse file in the container's directory with an ext4 of that size in it
  kTmpfs,         // in memory, which is charged to the container; gone at its end
};

// As in --storage-opt limit=...: "quota", "image", "tmpfs".
std::string_view name_of(LimitMethod method);
std::optional<LimitMethod> limit_method_named(std::string_view name);
// As in a sentence: "an ext4 image file".
std::string describe(LimitMethod method);

struct SizeLimit {
  std::uint64_t bytes = 0;
  LimitMethod method = LimitMethod::kProjectQuota;
};

// Too small for an ext4 with anything in it.
inline constexpr std::uint64_t kLeastSizeLimit = 8 << 20;

// What can be had here; an empty text means that it can be, otherwise the text says why not.
struct LimitAbilities {
  std::string project_quota;
  std::string image_file;
};
LimitAbilities limit_abilities(int store);

// The method that was asked for, or the best there is. kUnsupported says why each cannot be had.
Result<LimitMethod> choose_limit_method(const LimitAbilities& abilities,
                                        std::optional<LimitMethod> wanted, Upper upper);

}  // namespace bulkhead::storage
