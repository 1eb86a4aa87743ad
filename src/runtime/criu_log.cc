#include "runtime/criu_log.h"

#include <vector>

#include "base/text.h"

namespace bulkhead::runtime {
namespace {

constexpr std::size_t kMostLines = 3;
constexpr std::size_t kLongestLine = 300;

// "(00.012345)     12: Error (criu/files.c:1): words" without the time.
std::string_view without_time(std::string_view line) {
  if (!line.starts_with('(')) return trim(line);
  const std::size_t end = line.find(')');
  return trim(end == std::string_view::npos ? line : line.substr(end + 1));
}

}  // namespace

std::string last_errors(std::string_view log) {
  std::vector<std::string_view> errors;
  std::string_view last;
  for (const std::string_view line : split(log, '\n')) {
    const std::string_view text = without_time(line);
    if (text.empty()) continue;
    last = text;
    if (text.find("Error (") != std::string_view::npos) errors.push_back(text);
  }
  if (errors.empty() && !last.empty()) errors.push_back(last);
  std::string out;
  for (std::size_t i = errors.size() > kMostLines ? errors.size() - kMostLines : 0;
       i < errors.size(); ++i)
    out.append(out.empty() ? "" : ", ").append(quoted(errors[i], kLongestLine));
  return out;
}

}  // namespace bulkhead::runtime
