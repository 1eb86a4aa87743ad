// The first of the runtime's two starts, without a C library.
//
// A static C library asks the processor some eighty questions (cpuid) before main(); in a virtual
// machine each one is an exit to the hypervisor, 0.3 ms in all. A process that only executes itself
// again from a read-only clone of its file (self_protection.h) needs none of the answers. So the
// program's entry point, where the linker is told to use it (CMake, x86-64, static), does that with
// bare system calls, and goes on to the C library's own `_start` in every other case: when there is
// nothing to protect, and when anything fails. main() then decides again and reports what is wrong;
// nothing here is relied upon.
#pragma once

namespace bulkhead::isolation {

// As kernel and loader leave them on the stack: the count, the arguments, a null pointer, the
// environment, a null pointer. Returns when there is nothing to do or it could not be done.
void protect_own_binary_early(const long* stack) noexcept;

}  // namespace bulkhead::isolation
