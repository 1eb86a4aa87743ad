// A directory as a tar, for `volume export`. Its content is hostile and may change meanwhile: everything is
// opened beneath it, no symbolic link is followed, and an entry is as long as its header says, whatever
// becomes of the file.
#pragma once

#include "base/result.h"

namespace bulkhead::volumes {

// POSIX pax, entries named "./…", with owners, modes, times and user.* attributes. Sockets are left out.
Result<void> export_tree(int directory, int output);

}  // namespace bulkhead::volumes
