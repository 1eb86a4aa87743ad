// What a hook has said, and what its end means. Hooks are other people's programs: their words reach
// people only through quoted().
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/hook_process.h"

namespace bulkhead::runtime {

// The last bytes of a stream in a buffer of fixed size. Nothing is allocated.
class OutputTail {
 public:
  explicit OutputTail(std::span<char> buffer) : buffer_(buffer) {}
  std::size_t size() const noexcept { return size_; }
  void append(std::span<const char> text) noexcept;

 private:
  std::span<char> buffer_;
  std::size_t size_ = 0;
};

// The last line that is not empty, for a message.
std::string_view last_line(std::string_view output) noexcept;

// "PATH: how it ended: the last line", as much of it as fits, with a NUL at its end, in `report`, which is
// not empty. For the child half: nothing is allocated.
const char* write_report(std::span<char> report, std::string_view path, const HookEnd& end,
                         std::string_view output) noexcept;

// Nothing for a hook that has done its work; otherwise why not, beginning with `name`.
Result<void> judge_hook(const std::string& name, const HookEnd& end, int timeout_milliseconds,
                        std::string_view output);

}  // namespace bulkhead::runtime
