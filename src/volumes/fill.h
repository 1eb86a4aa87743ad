// Filling an empty volume, so that at no moment half of it is taken for the whole:
//
//   .filling-<random>   beside _data, as far as it has come; of no meaning when its maker is gone
//   .filled             the same, whole; its entries are being moved into _data
//
// Everything under the lock of the volume.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"

namespace bulkhead::volumes {

inline constexpr std::string_view kFillingPrefix = ".filling-";

// Whether nothing is in the directory.
Result<bool> is_empty(int data);

// `write` is given an empty directory, which nobody else sees, and fills it; then its entries become those
// of `data`, and its owner and mode those of `data`. What somebody has put into `data` meanwhile stays.
Result<void> fill(int root, int data, const std::function<Result<void>(int directory)>& write);

// An empty directory beside the content of a volume (`volume`: its own directory), for as long as `work`
// takes.
Result<void> with_scratch(int volume, const std::function<Result<void>(int directory)>& work);

// Whether there is something of a filling, be it one that is under way.
Result<bool> is_filling(int root);

// What a killed process has left: what is whole is moved, the rest removed.
Result<void> finish_filling(int root, int data);

}  // namespace bulkhead::volumes
