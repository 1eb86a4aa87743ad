// What the kernel answers for a device program and for a v1 device list: the reference of tests and
// fuzzers. Included by them only.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <optional>
#include <vector>

#include "isolation/cgroup/device_policy.h"

namespace bulkhead::isolation::cgroup {

// Runs the few instructions that the assembler uses; nothing for a program that leaves this set,
// reads outside of its context, jumps out of itself or does not end. `request` is one device.
inline std::optional<bool> interpret(const std::vector<bpf_insn>& program,
                                     const DeviceSet& request) {
  const std::array<std::uint32_t, 3> context = {
      static_cast<std::uint32_t>(request.access) << 16 | static_cast<std::uint32_t>(request.type),
      *request.major, *request.minor};
  std::array<std::uint64_t, 11> registers{};
  std::size_t at = 0;
  for (std::size_t steps = 0; steps < program.size() && at < program.size(); ++steps) {
    const bpf_insn& now = program[at++];
    std::uint64_t& destination = registers[now.dst_reg];
    const auto immediate = static_cast<std::uint64_t>(static_cast<std::int64_t>(now.imm));
    bool jump = false;
    switch (now.code) {
      case BPF_JMP | BPF_EXIT: return registers[BPF_REG_0] != 0;
      case BPF_LDX | BPF_MEM | BPF_W:
        if (now.src_reg != BPF_REG_1 || now.off < 0 || now.off > 8 || now.off % 4 != 0)
          return std::nullopt;
        destination = context[static_cast<std::size_t>(now.off) / 4];
        break;
      case BPF_ALU64 | BPF_X | BPF_MOV: destination = registers[now.src_reg]; break;
      case BPF_ALU64 | BPF_K | BPF_MOV: destination = immediate; break;
      case BPF_ALU64 | BPF_K | BPF_AND: destination &= immediate; break;
      case BPF_ALU64 | BPF_K | BPF_RSH: destination >>= immediate; break;
      case BPF_JMP | BPF_K | BPF_JNE: jump = destination != immediate; break;
      case BPF_JMP | BPF_K | BPF_JSET: jump = (destination & immediate) != 0; break;
      case BPF_JMP | BPF_K | BPF_JA: jump = true; break;
      default: return std::nullopt;
    }
    if (jump && now.off < 0) return std::nullopt;
    if (jump) at += static_cast<std::size_t>(now.off);
  }
  return std::nullopt;
}

// As the v1 kernel: one exception must grant a whole request, or none may touch it.
inline bool v1_answer(const DeviceListV1& list, const DeviceSet& request) {
  for (const DeviceSet& exception : list.exceptions) {
    if (!exception.covers(request)) continue;
    if (list.allow_by_default && (exception.access & request.access) != 0) return false;
    if (!list.allow_by_default && (request.access & ~exception.access) == 0) return true;
  }
  return list.allow_by_default;
}

}  // namespace bulkhead::isolation::cgroup
