// Executes a classic BPF program as the kernel does for seccomp. For tests and fuzzing.
#pragma once

#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace bulkhead::isolation::seccomp {

// The verdict; nothing where the program is not one that the kernel would take (an unknown
// instruction, a load outside seccomp_data, a jump beyond the end, no return).
inline std::optional<std::uint32_t> interpret(std::span<const sock_filter> program,
                                              const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  std::uint32_t index_register = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& instruction = program[at];
    const std::uint32_t k = instruction.k;
    const auto jump = [&](bool taken) { at += taken ? instruction.jt : instruction.jf; };
    switch (instruction.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (k % 4 != 0 || k >= sizeof data) return std::nullopt;
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + k, 4);
        break;
      case BPF_LD | BPF_IMM: accumulator = k; break;
      case BPF_LDX | BPF_IMM: index_register = k; break;
      case BPF_MISC | BPF_TAX: index_register = accumulator; break;
      case BPF_MISC | BPF_TXA: accumulator = index_register; break;
      case BPF_ALU | BPF_AND | BPF_K: accumulator &= k; break;
      case BPF_ALU | BPF_OR | BPF_K: accumulator |= k; break;
      case BPF_JMP | BPF_JA: at += k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: jump(accumulator == k); break;
      case BPF_JMP | BPF_JGT | BPF_K: jump(accumulator > k); break;
      case BPF_JMP | BPF_JGE | BPF_K: jump(accumulator >= k); break;
      case BPF_JMP | BPF_JSET | BPF_K: jump((accumulator & k) != 0); break;
      case BPF_RET | BPF_K: return k;
      case BPF_RET | BPF_A: return accumulator;
      default: return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace bulkhead::isolation::seccomp
