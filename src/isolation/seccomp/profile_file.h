// Seccomp profiles as users write them: the JSON format of Docker and Podman, in which rules depend
// on capabilities, architectures and kernel versions. The result is a plain profile of the runtime
// specification.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::isolation::seccomp {

struct ProfileContext {
  std::span<const std::string> granted;  // names of the container's capabilities
  int kernel_major = 0;
  int kernel_minor = 0;
};

// Strict, because a misspelt rule in a file of one's own is a hole: unknown fields and names of
// system calls that no architecture has are errors.
Result<oci::Seccomp> read_profile_file(std::string_view json, const ProfileContext& context);

}  // namespace bulkhead::isolation::seccomp
