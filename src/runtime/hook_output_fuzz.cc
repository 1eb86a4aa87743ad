// Whatever a hook writes, in whatever pieces, however it ends: what is kept of it is its end, and what is
// said of it is fit for a terminal and a log line.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/text.h"
#include "runtime/hook_output.h"

namespace {

bool is_fit(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = bulkhead::utf8_length(text);
    if (length == 0 || (length == 1 && (text[0] < 0x20 || text[0] == 0x7F))) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead;
  using namespace bulkhead::runtime;
  constexpr std::size_t kHead = 6;
  if (size < kHead) return 0;
  const std::size_t room = 1 + data[0] * 4U;
  const std::size_t piece = 1 + data[1] * 8U;
  HookEnd end;
  end.timed_out = (data[2] & 1) != 0;
  end.abandoned = (data[2] & 2) != 0;
  end.status.signal = data[2] >> 2 & 31;
  end.status.code = data[3];
  const std::string_view said(reinterpret_cast<const char*>(data) + kHead, size - kHead);

  std::vector<char> buffer(room);
  OutputTail tail(buffer);
  for (std::size_t at = 0; at < said.size(); at += piece) tail.append(said.substr(at, piece));
  const std::string_view kept(buffer.data(), tail.size());
  if (kept != said.substr(said.size() - std::min(said.size(), room))) std::abort();

  const std::string_view line = last_line(kept);
  if (line.find('\n') != std::string_view::npos) std::abort();
  std::vector<char> report(1 + data[4]);
  const char* const text = write_report(report, said.substr(0, data[5]), end, kept);
  if (std::memchr(text, 0, report.size()) == nullptr) std::abort();
  if (!is_fit(quoted(text))) std::abort();

  const auto judged = judge_hook("createRuntime hook \"/x\"", end, 1000, kept);
  const bool failed =
      end.timed_out || end.abandoned || end.status.signal != 0 || end.status.code != 0;
  if (judged.has_value() == failed) std::abort();
  if (!judged && !is_fit(judged.error().message())) std::abort();
  return 0;
}
