#include "sys/random.h"

#include <sys/random.h>

#include "sys/error.h"

namespace bulkhead {

Result<std::string> random_name() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
    return std::unexpected(Error(SysError{"getrandom", errno}));
  std::string name;
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return name;
}

}  // namespace bulkhead
