// The runtime's own binary, never writable from inside a container (CVE-2019-5736).
//
// A container can make the runtime's child execute "/proc/self/exe" (by process.args or by a
// script's first line), which is the runtime's binary on the host; and a process inside with
// CAP_SYS_PTRACE can open /proc/PID/exe of the child. A root that is the host's root could then
// overwrite the binary as soon as it is not running. So the runtime executes itself once more from
// a clone of its own file's mount that is read-only, detached, and gone from every namespace:
// nobody can make it writable again.
#pragma once

#include "base/result.h"

namespace bulkhead::isolation {

enum class OwnBinary {
  kReadOnly,  // on a read-only mount, or in a sealed memory file: the second start finds this
  kNotOurs,   // neither root nor its owner runs this process, and nobody else may write it
  kWritable,  // a container with this process's user id could overwrite it
};

// Looks at /proc/self/exe; never at the environment, which a caller could set.
Result<OwnBinary> own_binary();

// First thing in main() of every command that puts a process into a container. Returns when there
// is nothing to do; else executes this binary again with the same arguments, environment and
// descriptors, and returns only with an error. A container in a user namespace that does not map
// the binary's owner cannot write it either: a caller who knows that may do without.
Result<void> protect_own_binary(char* const* arguments, char* const* environment);

}  // namespace bulkhead::isolation
