#include "sys/resource_limit.h"

#include <algorithm>
#include <cerrno>

#include "sys/error.h"

namespace bulkhead {

Result<void> lower_limit(__rlimit_resource resource, const char* name, rlim_t most) {
  struct rlimit now{};
  if (::getrlimit(resource, &now) != 0)
    return std::unexpected(Error(SysError{"getrlimit", errno, name}));
  now.rlim_max = std::min(now.rlim_max, most);
  now.rlim_cur = std::min(now.rlim_cur, now.rlim_max);
  if (::setrlimit(resource, &now) != 0)
    return std::unexpected(Error(SysError{"setrlimit", errno, name}));
  return {};
}

}  // namespace bulkhead
