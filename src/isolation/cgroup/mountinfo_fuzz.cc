// Any texts for /proc/self/mountinfo and /proc/self/cgroup, separated by a NUL: the parser neither
// crashes nor gives a hierarchy whose paths are not absolute.
#include <cstdlib>
#include <string_view>

#include "isolation/cgroup/discover.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t separator = text.find('\0');
  const std::string_view mounts = text.substr(0, separator);
  const std::string_view groups =
      separator == std::string_view::npos ? "" : text.substr(separator + 1);
  for (const auto& one : bulkhead::isolation::parse_cgroup_hierarchies(mounts, groups))
    if (!one.mount_point.starts_with('/') || !one.own_path.starts_with('/') ||
        !one.mount_root.starts_with('/') || one.v2 != one.controllers.empty())
      std::abort();
  return 0;
}
