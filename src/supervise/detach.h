// Leaving everything behind that ties a process to whoever started it.
#pragma once

#include <span>
#include <string_view>

#include "sys/error.h"

namespace bulkhead::supervise {

// A session of its own, the root as working directory, /dev/null as standard streams, and no other
// descriptor than `kept`.
SysResult<void> leave_caller(std::span<const int> kept) noexcept;

// Of the descriptors from 3 on, no other than `kept`.
SysResult<void> close_all_but(std::span<const int> kept) noexcept;

// Shows `title` as the process's command line, in place of words that may hold secrets, and `name` as
// its name. Needs the argument vector of main().
void show_as(std::string_view name, std::string_view title) noexcept;
// main() tells where its arguments are.
void remember_arguments(int count, char** words) noexcept;

}  // namespace bulkhead::supervise
