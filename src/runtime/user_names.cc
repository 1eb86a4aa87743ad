#include "runtime/user_names.h"

#include <fcntl.h>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::runtime {

std::string user_name(std::uint32_t uid) {
  if (uid == 0) return "root";
  const std::string number = std::to_string(uid);
  const auto passwd = read_file_at(AT_FDCWD, "/etc/passwd", 16U << 20);
  if (!passwd) return number;
  std::string_view rest = *passwd;
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');
    const std::string_view name = next_field(line, ':');
    next_field(line, ':');
    if (next_field(line, ':') == number && !name.empty()) return std::string(name);
  }
  return number;
}

}  // namespace bulkhead::runtime
