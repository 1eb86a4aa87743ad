// The meaning of a profile, straight from its rules and without a thought for speed: what a
// compiled program must say. For tests and fuzzing.
#pragma once

#include <linux/seccomp.h>

#include "isolation/seccomp/profile.h"

namespace bulkhead::isolation::seccomp {

// The verdict for one system call. Rules that contradict each other have no meaning: decide()
// refuses them, do not ask.
std::uint32_t evaluate(const Profile& profile, const seccomp_data& call);

}  // namespace bulkhead::isolation::seccomp
