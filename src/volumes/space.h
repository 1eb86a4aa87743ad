// The content of a volume in the store, by descriptor. What is in it is hostile: nothing is resolved but
// beneath it, and no symbolic link is followed.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"
#include "volumes/record.h"

namespace bulkhead::volumes {

struct Space {
  Fd lock;  // of volumes/<name>: nobody removes it
  // What _data lies in: the directory of the volume, or the root of its image file's file system, which is
  // mounted nowhere.
  Fd root;
  Fd data;  // open for reading
};

// kRead: others may, too, but nobody fills it.
enum class Access { kRead, kFill };

// Of a volume that is no bind. Also ends what a killed process has left of filling it.
Result<Space> open_space(int store, const Volume& volume, Access access);

// A detached mount of the content, or of a path in it.
Result<Fd> mount_of(int store, const Volume& volume, std::string_view subpath);

}  // namespace bulkhead::volumes
