// Volumes in memory (type=tmpfs): a tmpfs that is mounted in the volume's directory, on the host, while
// containers that use it run. With the last of them it goes, and what was in it. A reboot and the removal
// of the volume take it away as well.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"
#include "volumes/record.h"

namespace bulkhead::volumes {

// Where it is mounted, beneath the volume's directory; in it _data.
inline constexpr const char* kMemory = "memory";

// Its root; mounted if it is not yet. Under the exclusive lock of the volume.
Result<Fd> open_memory(const Fd& volume, const Meaning& meaning);

Result<bool> is_in_memory(int volume);
// Fine when it is not mounted.
Result<void> unmount_memory(int volume);

// When the container has ended: what it used in memory and no other container that `lives` uses.
Result<void> release_memory(int store, std::string_view container,
                            const std::function<bool(const std::string& id)>& lives);

}  // namespace bulkhead::volumes
