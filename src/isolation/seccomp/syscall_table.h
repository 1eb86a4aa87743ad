// System call names and their numbers in the ABIs of an x86-64 kernel.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bulkhead::isolation::seccomp {

// The ways into an x86-64 kernel. Each numbers its calls in its own way, and a filter sees which
// one was used: by `arch`, and x32 by a bit of the number.
enum class Abi : std::uint8_t { kX86_64, kI386, kX32 };
inline constexpr std::size_t kAbiCount = 3;
inline constexpr std::array<Abi, kAbiCount> kAbis = {Abi::kX86_64, Abi::kI386, Abi::kX32};
inline constexpr std::uint32_t kX32Bit = 0x4000'0000;

constexpr std::size_t index_of(Abi abi) { return static_cast<std::size_t>(abi); }

// i386 has calls that are doors to several others: socketcall(2) and ipc(2). The first argument
// says which, the rest lies behind a pointer where no filter sees it.
struct Door {
  std::int16_t number = 0;  // of socketcall or ipc; 0: none
  std::uint16_t call = 0;   // its first argument
};

struct SyscallRow {
  std::string_view name;
  std::array<std::int16_t, kAbiCount> numbers{};  // -1: not in this ABI; x32 without its bit
  Door i386_door;

  constexpr int number(Abi abi) const { return numbers[index_of(abi)]; }
};

// One more than the largest number of the ABI in the table.
int number_limit(Abi abi) noexcept;

// The largest number of the ABI as of Linux 4.18, when the numbers of new calls began to be the
// same on all architectures. Every profile in the OCI's format knows these calls, named or not.
constexpr int last_old_number(Abi abi) { return abi == Abi::kI386 ? 386 : 334; }

// A row by name; null when no ABI of this kernel has the call.
const SyscallRow* find_syscall(std::string_view name) noexcept;
// Whether it is a call of another architecture only ("s390_sthyi"): known, and without effect here.
bool is_foreign_syscall(std::string_view name) noexcept;
// The name of a number; empty when the table has none.
std::string_view name_of(Abi abi, int number) noexcept;

}  // namespace bulkhead::isolation::seccomp
