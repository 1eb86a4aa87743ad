// Descriptors that only a process with other namespaces can make: a child makes them, hands them over
// and ends.
#pragma once

#include <functional>
#include <vector>

#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead {

// Hands one descriptor over; the child's own copy stays its own.
using GiveDescriptor = std::function<void(const Fd& descriptor)>;

// Forks, and runs `work` in the child, whose namespaces and working directory it may change. It gives
// `count` descriptors, or fails; then its call and errno are the error here, without the subject, which
// may be the child's own. EPIPE when the child ended without either. The calling process must be
// single-threaded. No child is left.
SysResult<std::vector<Fd>> descriptors_from_child(
    std::size_t count, const std::function<SysResult<void>(const GiveDescriptor& give)>& work);

}  // namespace bulkhead
