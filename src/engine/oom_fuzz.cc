// Lines of the kernel's log, which hold names that processes give themselves.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/text.h"
#include "engine/oom.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto victim = bulkhead::engine::read_oom_line(line, "0123");
  if (victim && (line.find("0123") == std::string_view::npos || victim->group.empty() ||
                 !bulkhead::parse_number<std::uint32_t>(victim->pid)))
    std::abort();
  return 0;
}
