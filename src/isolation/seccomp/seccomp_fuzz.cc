// Profiles made from the input: the compiled program must say what the rules say, for every call
// near what they name.
#include <cstdio>
#include <cstdlib>

#include "isolation/seccomp/bpf_interpreter.h"
#include "isolation/seccomp/compiler.h"
#include "isolation/seccomp/reference.h"
#include "isolation/seccomp/testing.h"

using namespace bulkhead::isolation::seccomp;

namespace {

// Numbers from the input, zeros when it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::size_t operator()(std::size_t below) {
    std::size_t number = 0;
    for (std::size_t span = below - 1; span != 0; span >>= 8)
      number = number << 8 | (at_ < size_ ? data_[at_++] : 0U);
    return number % below;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const bulkhead::oci::Seccomp file = testing::ProfileMaker(input).make();
  const auto profile = read_profile(file);
  if (!profile) return 0;
  const auto decisions = decide(*profile);
  if (!decisions) return 0;
  const auto program = compile(*decisions);
  if (!program) return 0;
  constexpr int kStep = 32;  // all numbers are visited by 32 inputs
  const int first = static_cast<int>(input(kStep));
  const auto compare = [&](const seccomp_data& call) {
    if (interpret(*program, call) == evaluate(*profile, call)) return;
    std::fprintf(stderr, "number %d arch %x: filter %x, rules %x\n", call.nr, call.arch,
                 interpret(*program, call).value_or(0xBAD), evaluate(*profile, call));
    std::abort();
  };
  testing::visit_calls(*profile, compare, first, kStep);
  return 0;
}
