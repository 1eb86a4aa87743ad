#include "runtime/hook_output.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/text.h"

namespace bulkhead::runtime {

void OutputTail::append(std::span<const char> text) noexcept {
  if (text.size() > buffer_.size()) text = text.last(buffer_.size());
  const std::size_t excess =
      size_ + text.size() > buffer_.size() ? size_ + text.size() - buffer_.size() : 0;
  std::memmove(buffer_.data(), buffer_.data() + excess, size_ - excess);
  size_ -= excess;
  std::ranges::copy(text, buffer_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += text.size();
}

std::string_view last_line(std::string_view output) noexcept {
  output = trim(output);
  const std::size_t line_end = output.rfind('\n');
  return line_end == std::string_view::npos ? output : output.substr(line_end + 1);
}

const char* write_report(std::span<char> report, std::string_view path, const HookEnd& end,
                         std::string_view output) noexcept {
  char* at = report.data();
  const char* const room_end = at + report.size() - 1;
  const auto append = [&](std::string_view text) {
    text = text.substr(0, static_cast<std::size_t>(room_end - at));
    at = std::ranges::copy(text, at).out;
  };
  const auto append_number = [&](std::string_view what, int number) {
    std::array<char, 16> digits;
    append(what);
    append({digits.data(), std::to_chars(digits.begin(), digits.end(), number).ptr});
  };
  append(path);
  if (end.timed_out) {
    append(": killed after its timeout");
  } else if (end.status.signal != 0) {
    append_number(": killed by signal ", end.status.signal);
  } else {
    append_number(": exit code ", end.status.code);
  }
  if (const std::string_view line = last_line(output); !line.empty()) append(": "), append(line);
  *at = '\0';
  return report.data();
}

Result<void> judge_hook(const std::string& name, const HookEnd& end, int timeout_milliseconds,
                        std::string_view output) {
  const std::string_view said = trim(output);
  const std::string quote = said.empty() ? "" : "; it said: " + quoted(said, output.size());
  if (end.abandoned)
    return fail(
        ErrorKind::kSystem,
        name + ": killed, because the container's process had been killed meanwhile" + quote);
  if (end.timed_out)
    return fail(ErrorKind::kSystem, name + ": killed after its timeout of " +
                                        std::to_string(timeout_milliseconds / 1000) + " s" + quote);
  if (end.status.signal != 0)
    return fail(ErrorKind::kSystem,
                name + ": killed by signal " + std::to_string(end.status.signal) + quote);
  if (end.status.code != 0)
    return fail(ErrorKind::kSystem,
                name + ": exit code " + std::to_string(end.status.code) + quote);
  return {};
}

}  // namespace bulkhead::runtime
