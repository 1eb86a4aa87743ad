#include "isolation/seccomp/compiler.h"

#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "isolation/seccomp/assembler.h"

namespace bulkhead::isolation::seccomp {
namespace {

using Place = Assembler::Place;

constexpr std::uint32_t kNumberOffset = offsetof(seccomp_data, nr);
constexpr std::uint32_t kArchOffset = offsetof(seccomp_data, arch);
constexpr std::uint16_t kLoadWord = BPF_LD | BPF_W | BPF_ABS;

constexpr std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
constexpr std::uint32_t high(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

// Little-endian: the low word of an argument comes first.
constexpr std::uint32_t low_offset(unsigned argument) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args)) + 8 * argument;
}
constexpr std::uint32_t high_offset(unsigned argument) { return low_offset(argument) + 4; }

// Numbers from `start` up to the next range's.
struct Range {
  std::uint32_t start = 0;
  std::uint16_t decision = 0;
};

// Where a branch leads: to the end with a verdict, or to a place in the program.
struct Target {
  std::optional<std::uint32_t> verdict;
  Place place = 0;
  bool operator==(const Target&) const = default;
};

class Compiler {
 public:
  explicit Compiler(const Decisions& decisions)
      : decisions_(decisions), code_(512), blocks_(decisions.all.size(), 0) {
    // Different decisions may say the same.
    for (std::size_t i = 0; i < decisions.all.size(); ++i) {
      std::size_t first = 0;
      while (!(decisions.all[first] == decisions.all[i])) ++first;
      canonical_.push_back(static_cast<std::uint16_t>(first));
    }
  }

  std::vector<sock_filter> compile() && {
    const Target foreign{kForeignAbiVerdict, 0};
    const Target i386 = decisions_.abis[index_of(Abi::kI386)].present
                            ? load(kNumberOffset, tree(i386_ranges()))
                            : foreign;
    const Target other = branch(BPF_JEQ, AUDIT_ARCH_I386, i386, foreign);
    const Target x86_64 = load(kNumberOffset, tree(x86_64_ranges()));
    load(kArchOffset, branch(BPF_JEQ, AUDIT_ARCH_X86_64, x86_64, other));
    return std::move(code_).finish();
  }

 private:
  // --- ranges ---------------------------------------------------------------------------------

  void append(std::vector<Range>& ranges, std::uint32_t start, std::uint16_t decision) const {
    decision = canonical_[decision];
    if (ranges.empty() || ranges.back().decision != decision) ranges.push_back({start, decision});
  }

  void append_abi(std::vector<Range>& ranges, std::uint32_t base, Abi abi) const {
    const AbiDecisions& table = decisions_.abis[index_of(abi)];
    for (std::size_t number = 0; number < table.by_number.size(); ++number)
      append(ranges, base + static_cast<std::uint32_t>(number), table.by_number[number]);
    append(ranges, base + static_cast<std::uint32_t>(table.by_number.size()), table.beyond);
  }

  std::vector<Range> i386_ranges() const {
    std::vector<Range> ranges;
    append_abi(ranges, 0, Abi::kI386);
    return ranges;
  }

  // x32 calls arrive under the same `arch`, with a bit in the number. The number -1 is no call of
  // x32 but what a tracer sets to have a call skipped.
  std::vector<Range> x86_64_ranges() const {
    std::vector<Range> ranges;
    ranges.reserve(256);
    append_abi(ranges, 0, Abi::kX86_64);
    append_abi(ranges, kX32Bit, Abi::kX32);
    append(ranges, 0xFFFF'FFFFU, decisions_.abis[index_of(Abi::kX86_64)].beyond);
    return ranges;
  }

  // --- the search tree ------------------------------------------------------------------------

  // The accumulator holds the number.
  Target tree(std::span<const Range> ranges) {
    if (const auto leaf = few_exceptions(ranges)) return *leaf;
    std::size_t middle = ranges.size() / 2;
    // x32 calls are rare: they hang on one branch beside the tree of the others.
    for (std::size_t i = 1; i < ranges.size(); ++i)
      if (ranges[i].start == kX32Bit) middle = i;
    const Target right = tree(ranges.subspan(middle));
    const Target left = tree(ranges.first(middle));
    return branch(BPF_JGE, ranges[middle].start, right, left);
  }
  Target tree(std::vector<Range>&& ranges) { return tree(std::span<const Range>(ranges)); }

  // A span in which all ranges but a few single numbers mean the same: a chain of comparisons is
  // shorter than a tree.
  std::optional<Target> few_exceptions(std::span<const Range> ranges) {
    constexpr std::size_t kMostExceptions = 3;
    for (std::size_t first = 0; first < 2 && first < ranges.size(); ++first) {
      const std::uint16_t common = ranges[first].decision;
      std::size_t exceptions = 0;
      for (std::size_t i = 0; i < ranges.size(); ++i) {
        if (ranges[i].decision == common) continue;
        const bool single = i + 1 < ranges.size() && ranges[i + 1].start == ranges[i].start + 1;
        exceptions += single ? 1 : kMostExceptions + 1;
      }
      if (exceptions > kMostExceptions) continue;
      Target target = target_of(common);
      for (const Range& range : ranges)
        if (range.decision != common)
          target = branch(BPF_JEQ, range.start, target_of(range.decision), target);
      return target;
    }
    return std::nullopt;
  }

  // --- decisions ------------------------------------------------------------------------------

  Target target_of(std::uint16_t index) {
    const Decision& decision = decisions_.all[index];
    if (decision.cases.empty()) return {decision.verdict, 0};
    if (blocks_[index] == 0) blocks_[index] = enter(block(decision));
    return {std::nullopt, blocks_[index]};
  }

  Target block(const Decision& decision) {
    Target next{decision.verdict, 0};
    std::size_t end = decision.cases.size();
    while (end > 0) {
      const std::size_t begin = alternatives_before(decision, end);
      next = end - begin > 1
                 ? alternatives({&decision.cases[begin], end - begin}, decision.narrow, next)
                 : conditions(decision.cases[end - 1], decision.narrow, next);
      end = begin;
    }
    return next;
  }

  // The first of the cases before `end` that all compare the same argument for equality with values
  // that share their high word: the argument is loaded once for all of them.
  static std::size_t alternatives_before(const Decision& decision, std::size_t end) {
    const auto simple = [](const Case& one) {
      return one.conditions.size() == 1 && one.conditions[0].op == Operator::kEqual;
    };
    std::size_t begin = end - 1;
    const Case& last = decision.cases[begin];
    if (!simple(last)) return begin;
    while (begin > 0) {
      const Case& before = decision.cases[begin - 1];
      if (!simple(before) || before.conditions[0].argument != last.conditions[0].argument ||
          high(before.conditions[0].value) != high(last.conditions[0].value))
        break;
      --begin;
    }
    return begin;
  }

  Target alternatives(std::span<const Case> cases, bool narrow, const Target& otherwise) {
    Target target = otherwise;
    for (std::size_t i = cases.size(); i-- > 0;)
      target = branch(BPF_JEQ, low(cases[i].conditions[0].value), {cases[i].verdict, 0}, target);
    const Condition& condition = cases[0].conditions[0];
    target = load(low_offset(condition.argument), target);
    return narrow ? target : check_high(condition, BPF_JEQ, target, otherwise);
  }

  Target conditions(const Case& one, bool narrow, const Target& otherwise) {
    Target target{one.verdict, 0};
    for (std::size_t i = one.conditions.size(); i-- > 0;)
      target = condition(one.conditions[i], narrow, target, otherwise);
    return target;
  }

  Target condition(const Condition& condition, bool narrow, const Target& yes, const Target& no) {
    switch (condition.op) {
      case Operator::kEqual: return equal(condition, narrow, yes, no);
      case Operator::kNotEqual: return equal(condition, narrow, no, yes);
      case Operator::kGreater: return greater(condition, BPF_JGT, narrow, yes, no);
      case Operator::kGreaterOrEqual: return greater(condition, BPF_JGE, narrow, yes, no);
      case Operator::kLessOrEqual: return greater(condition, BPF_JGT, narrow, no, yes);
      case Operator::kLess: return greater(condition, BPF_JGE, narrow, no, yes);
      case Operator::kMaskedEqual: break;
    }
    const unsigned argument = condition.argument;
    Target target =
        masked(low_offset(argument), low(condition.mask), low(condition.value), yes, no);
    if (!narrow)
      target =
          masked(high_offset(argument), high(condition.mask), high(condition.value), target, no);
    return target;
  }

  Target equal(const Condition& condition, bool narrow, const Target& yes, const Target& no) {
    Target target = branch(BPF_JEQ, low(condition.value), yes, no);
    target = load(low_offset(condition.argument), target);
    return narrow ? target : check_high(condition, BPF_JEQ, target, no);
  }

  Target greater(const Condition& condition, std::uint16_t comparison, bool narrow,
                 const Target& yes, const Target& no) {
    Target target = branch(comparison, low(condition.value), yes, no);
    target = load(low_offset(condition.argument), target);
    if (narrow) return target;
    if (high(condition.value) == 0) return check_high(condition, BPF_JEQ, target, yes);
    target = branch(BPF_JEQ, high(condition.value), target, no);
    return load(high_offset(condition.argument),
                branch(BPF_JGT, high(condition.value), yes, target));
  }

  Target check_high(const Condition& condition, std::uint16_t comparison, const Target& yes,
                    const Target& no) {
    return load(high_offset(condition.argument),
                branch(comparison, high(condition.value), yes, no));
  }

  Target masked(std::uint32_t offset, std::uint32_t mask, std::uint32_t value, const Target& yes,
                const Target& no) {
    if (mask == 0) return yes;
    if (value == 0) return load(offset, branch(BPF_JSET, mask, no, yes));
    const Target compared = branch(BPF_JEQ, value, yes, no);
    if (mask != 0xFFFF'FFFFU) {
      enter(compared);
      code_.emit(BPF_ALU | BPF_AND | BPF_K, mask);
      return load(offset, {std::nullopt, code_.here()});
    }
    return load(offset, compared);
  }

  // --- instructions ---------------------------------------------------------------------------

  Place reach(const Target& target, std::uint32_t slack) {
    return target.verdict ? code_.ret(*target.verdict, slack) : code_.near(target.place, slack);
  }

  Target branch(std::uint16_t comparison, std::uint32_t operand, const Target& yes,
                const Target& no) {
    if (yes == no) return yes;
    const Place near_yes = reach(yes, 1);  // reaching `no` writes one instruction at most
    const Place near_no = reach(no, 0);
    return {std::nullopt, code_.branch(comparison, operand, near_yes, near_no)};
  }

  // Makes `target` the next thing that executes after whatever is written next.
  Place enter(const Target& target) {
    Place place = reach(target, 0);
    if (place != code_.here()) place = code_.emit(BPF_JMP | BPF_JA, code_.here() - place);
    return place;
  }

  // Loads a word of seccomp_data before `target`.
  Target load(std::uint32_t offset, const Target& target) {
    if (target.verdict) return target;
    enter(target);
    return {std::nullopt, code_.emit(kLoadWord, offset)};
  }

  const Decisions& decisions_;
  Assembler code_;
  std::vector<Place> blocks_;             // of decisions with cases; 0: not written yet
  std::vector<std::uint16_t> canonical_;  // the first decision that is equal
};

}  // namespace

Result<std::vector<sock_filter>> compile(const Decisions& decisions) {
  auto program = Compiler(decisions).compile();
  if (program.size() > BPF_MAXINSNS)
    return fail(ErrorKind::kUnsupported,
                "linux.seccomp: the profile makes a filter of " + std::to_string(program.size()) +
                    " instructions; the kernel takes " + std::to_string(BPF_MAXINSNS),
                "use fewer rules with conditions, or fewer architectures");
  return program;
}

}  // namespace bulkhead::isolation::seccomp
