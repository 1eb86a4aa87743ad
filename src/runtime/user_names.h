// The name of a host user as /etc/passwd has it. A static program cannot ask the name service, and
// need not: the names are for people, everything else works with numbers.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::runtime {

// "root"; the number in decimal for a user without an entry.
std::string user_name(std::uint32_t uid);

}  // namespace bulkhead::runtime
