#include "isolation/seccomp/syscall_table.h"

#include <algorithm>
#include <iterator>

namespace bulkhead::isolation::seccomp {
namespace {

constexpr std::int16_t kSocketcall = 102;
constexpr std::int16_t kIpc = 117;

struct NameBehindDoor {
  std::string_view name;
  Door door;
};
constexpr NameBehindDoor kBehindDoors[] = {
    {"accept", {kSocketcall, 5}},
    {"accept4", {kSocketcall, 18}},
    {"bind", {kSocketcall, 2}},
    {"connect", {kSocketcall, 3}},
    {"getpeername", {kSocketcall, 7}},
    {"getsockname", {kSocketcall, 6}},
    {"getsockopt", {kSocketcall, 15}},
    {"listen", {kSocketcall, 4}},
    {"msgctl", {kIpc, 14}},
    {"msgget", {kIpc, 13}},
    {"msgrcv", {kIpc, 12}},
    {"msgsnd", {kIpc, 11}},
    {"recv", {kSocketcall, 10}},
    {"recvfrom", {kSocketcall, 12}},
    {"recvmmsg", {kSocketcall, 19}},
    {"recvmsg", {kSocketcall, 17}},
    {"semctl", {kIpc, 3}},
    {"semget", {kIpc, 2}},
    {"semop", {kIpc, 1}},
    {"semtimedop", {kIpc, 4}},
    {"send", {kSocketcall, 9}},
    {"sendmmsg", {kSocketcall, 20}},
    {"sendmsg", {kSocketcall, 16}},
    {"sendto", {kSocketcall, 11}},
    {"setsockopt", {kSocketcall, 14}},
    {"shmat", {kIpc, 21}},
    {"shmctl", {kIpc, 24}},
    {"shmdt", {kIpc, 22}},
    {"shmget", {kIpc, 23}},
    {"shutdown", {kSocketcall, 13}},
    {"socket", {kSocketcall, 1}},
    {"socketpair", {kSocketcall, 8}},
};

constexpr auto kRows = [] {
  auto rows = std::to_array<SyscallRow>({
#define SYSCALL(name, x86_64, i386, x32) {#name, {x86_64, i386, x32}, {}},
#include "isolation/seccomp/syscall_rows.inc"
#undef SYSCALL
  });
  for (const NameBehindDoor& behind : kBehindDoors)
    for (SyscallRow& row : rows)
      if (row.name == behind.name) row.i386_door = behind.door;
  return rows;
}();
constexpr std::size_t kRowCount = kRows.size();

// Names are looked up some 400 times per start: an open hash table made by the compiler.
constexpr std::size_t kSlotCount = 2048;
static_assert(kRowCount * 2 < kSlotCount);

constexpr std::uint32_t hash_of(std::string_view name) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash ^ hash >> 15;
}

constexpr auto kSlots = [] {
  std::array<std::int16_t, kSlotCount> slots{};
  slots.fill(-1);
  for (std::size_t row = 0; row < kRowCount; ++row) {
    std::size_t slot = hash_of(kRows[row].name) % kSlotCount;
    while (slots[slot] >= 0) slot = (slot + 1) % kSlotCount;
    slots[slot] = static_cast<std::int16_t>(row);
  }
  return slots;
}();

constexpr auto kLimits = [] {
  std::array<int, kAbiCount> limits{};
  for (const SyscallRow& row : kRows)
    for (std::size_t abi = 0; abi < kAbiCount; ++abi)
      limits[abi] = std::max(limits[abi], row.numbers[abi] + 1);
  return limits;
}();

// Of ARM, MIPS, PowerPC, RISC-V, s390, SuperH and the like; sorted.
constexpr std::string_view kForeign[] = {"arm_fadvise64_64",
                                         "arm_sync_file_range",
                                         "atomic_barrier",
                                         "atomic_cmpxchg_32",
                                         "breakpoint",
                                         "cachectl",
                                         "cacheflush",
                                         "get_tls",
                                         "getpagesize",
                                         "kern_features",
                                         "memory_ordering",
                                         "multiplexer",
                                         "pciconfig_iobase",
                                         "pciconfig_read",
                                         "pciconfig_write",
                                         "riscv_flush_icache",
                                         "riscv_hwprobe",
                                         "rtas",
                                         "s390_guarded_storage",
                                         "s390_pci_mmio_read",
                                         "s390_pci_mmio_write",
                                         "s390_runtime_instr",
                                         "s390_sthyi",
                                         "set_tls",
                                         "spu_create",
                                         "spu_run",
                                         "subpage_prot",
                                         "swapcontext",
                                         "switch_endian",
                                         "sync_file_range2",
                                         "sys_debug_setcontext",
                                         "syscall",
                                         "sysmips",
                                         "timerfd",
                                         "usr26",
                                         "usr32",
                                         "utrap_install"};
static_assert(std::ranges::is_sorted(kForeign));

}  // namespace

int number_limit(Abi abi) noexcept { return kLimits[index_of(abi)]; }

const SyscallRow* find_syscall(std::string_view name) noexcept {
  for (std::size_t slot = hash_of(name) % kSlotCount; kSlots[slot] >= 0;
       slot = (slot + 1) % kSlotCount) {
    const SyscallRow& row = kRows[static_cast<std::size_t>(kSlots[slot])];
    if (row.name == name) return &row;
  }
  return nullptr;
}

bool is_foreign_syscall(std::string_view name) noexcept {
  return std::ranges::binary_search(kForeign, name);
}

std::string_view name_of(Abi abi, int number) noexcept {
  if (number < 0) return {};
  for (const SyscallRow& row : kRows)
    if (row.number(abi) == number) return row.name;
  return {};
}

}  // namespace bulkhead::isolation::seccomp
