#include "runtime/signal_name.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>
#include <string>

#include "base/text.h"

namespace bulkhead::runtime {
namespace {

constexpr int kLast = 64;  // _NSIG - 1: the kernel's last real-time signal

std::optional<int> offset_from(std::string_view name, std::string_view base, char sign) {
  if (!name.starts_with(base)) return std::nullopt;
  name.remove_prefix(base.size());
  if (name.empty()) return 0;
  if (name.front() != sign) return std::nullopt;
  return parse_number<int>(name.substr(1));
}

std::optional<int> number_of(std::string_view name) {
  for (int signal = 1; signal < 32; ++signal)
    if (const char* known = ::sigabbrev_np(signal); known != nullptr && name == known)
      return signal;
  if (name == "IOT") return SIGABRT;
  if (name == "CLD") return SIGCHLD;
  // The C library keeps the first real-time signals to itself; these names mean the rest.
  if (const auto offset = offset_from(name, "RTMIN", '+')) return SIGRTMIN + *offset;
  if (const auto offset = offset_from(name, "RTMAX", '-')) return SIGRTMAX - *offset;
  return std::nullopt;
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  std::optional<int> signal = parse_number<int>(text);
  if (!signal) {
    std::string name(text);
    std::ranges::transform(name, name.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    });
    if (name.starts_with("SIG")) name.erase(0, 3);
    signal = number_of(name);
  }
  if (!signal || *signal < 0 || *signal > kLast)
    return fail(ErrorKind::kUsage, "unknown signal " + quoted(text),
                "give a name like TERM or a number from 1 to 64");
  return *signal;
}

std::string signal_name(std::string_view text) {
  const auto signal = parse_signal(text);
  const char* const name = signal ? ::sigabbrev_np(*signal) : nullptr;
  return name != nullptr ? "SIG" + std::string(name) : std::string(text);
}

}  // namespace bulkhead::runtime
