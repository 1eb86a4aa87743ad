#include "supervise/oom_notice.h"

#include <poll.h>
#include <unistd.h>

#include <string_view>

#include "base/text.h"

namespace bulkhead::supervise {

short OomNotice::events() const noexcept { return notice_ ? POLLIN : POLLPRI; }

std::uint64_t OomNotice::news() noexcept {
  std::uint64_t rings = 0;
  if (notice_) (void)!::read(notice_.get(), &rings, sizeof rings);
  if (!counter_) return 0;
  char text[1024];
  const ssize_t size = ::pread(counter_.get(), text, sizeof text, 0);
  // The group has gone.
  if (size <= 0) return 0;
  std::string_view rest(text, static_cast<std::size_t>(size));
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');
    if (next_field(line, ' ') != "oom_kill") continue;
    const auto kills = parse_number<std::uint64_t>(line).value_or(0);
    const std::uint64_t news = kills > seen_ ? kills - seen_ : 0;
    seen_ = kills;
    return news;
  }
  return 0;
}

}  // namespace bulkhead::supervise
