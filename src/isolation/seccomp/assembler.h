// Writes a classic BPF program from its last instruction to its first. Jumps only lead forward, and
// so every target is known when a jump to it is written.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace bulkhead::isolation::seccomp {

class Assembler {
 public:
  // A place in the program: how many instructions follow it, itself included. 0 is no place.
  using Place = std::uint32_t;

  explicit Assembler(std::size_t expected) { code_.reserve(expected); }

  Place here() const { return static_cast<Place>(code_.size()); }

  Place emit(std::uint16_t code, std::uint32_t operand) { return put(code, 0, 0, operand); }

  // if (A `comparison` operand) goto yes; else goto no. Both must be near (see near()).
  Place branch(std::uint16_t comparison, std::uint32_t operand, Place yes, Place no) {
    return put(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), distance(yes),
               distance(no), operand);
  }

  // `target`, or a jump to it written here, so that a branch can reach it even when `slack` more
  // instructions are written before the branch: a branch reaches 255 instructions far.
  Place near(Place target, std::uint32_t slack) {
    if (here() - target + slack <= kReach) return target;
    return put(BPF_JMP | BPF_JA, 0, 0, here() - target);
  }

  // A `ret verdict` that a branch can reach: an earlier one, or one written here.
  Place ret(std::uint32_t verdict, std::uint32_t slack) {
    for (auto& [known, place] : returns_)
      if (known == verdict) {
        if (here() - place + slack > kReach) place = emit(BPF_RET | BPF_K, verdict);
        return place;
      }
    returns_.emplace_back(verdict, emit(BPF_RET | BPF_K, verdict));
    return returns_.back().second;
  }

  // The program in the kernel's order.
  std::vector<sock_filter> finish() && { return {code_.rbegin(), code_.rend()}; }

 private:
  static constexpr std::uint32_t kReach = 255;

  Place put(std::uint16_t code, std::uint8_t yes, std::uint8_t no, std::uint32_t operand) {
    code_.push_back({code, yes, no, operand});
    return here();
  }
  std::uint8_t distance(Place target) const { return static_cast<std::uint8_t>(here() - target); }

  std::vector<sock_filter> code_;  // last instruction first
  std::vector<std::pair<std::uint32_t, Place>> returns_;
};

}  // namespace bulkhead::isolation::seccomp
