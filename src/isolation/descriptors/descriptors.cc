#include "isolation/descriptors/descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr unsigned kFirst = 3;
constexpr unsigned kLast = ~0U;
constexpr std::size_t kMostKept = 32;

// The descriptors that stay although the program does not get them, in ascending order.
class KeptNumbers {
 public:
  SysResult<void> add(int fd, unsigned first_free) noexcept {
    if (fd < 0) return {};
    // launch/ keeps its own out of the way of those that the program is to find.
    if (static_cast<unsigned>(fd) < first_free)
      return sys_fail_with(EBADF,
                           "close_range (a descriptor of the launch lies among the preserved)");
    if (count_ == numbers_.size()) return sys_fail_with(E2BIG, "close_range");
    numbers_[count_++] = static_cast<unsigned>(fd);
    return {};
  }
  void sort() noexcept { std::sort(numbers_.begin(), numbers_.begin() + count_); }
  std::span<const unsigned> all() const noexcept { return {numbers_.data(), count_}; }
  bool holds(unsigned fd) const noexcept {
    return std::find(all().begin(), all().end(), fd) != all().end();
  }

 private:
  std::array<unsigned, kMostKept> numbers_{};
  std::size_t count_ = 0;
};

SysResult<KeptNumbers> kept_by(const Descriptors::Plan& plan, const ChildContext& child) noexcept {
  KeptNumbers kept;
  const unsigned first_free = kFirst + plan.preserved;
  for (const int fd : child.keep) TRY(kept.add(fd, first_free));
  TRY(kept.add(child.proc, first_free));
  kept.sort();
  return kept;
}

SysResult<void> close_between(unsigned first, unsigned last) noexcept {
  if (first > last) return {};
  if (::syscall(SYS_close_range, first, last, 0U) != 0) return sys_fail("close_range");
  return {};
}

SysResult<void> hand_over(unsigned fd) noexcept {
  const int number = static_cast<int>(fd);
  const int flags = ::fcntl(number, F_GETFD);
  if (flags < 0) return sys_fail("fcntl (fewer descriptors are open than --preserve-fds says)");
  if ((flags & FD_CLOEXEC) != 0 && ::fcntl(number, F_SETFD, flags & ~FD_CLOEXEC) != 0)
    return sys_fail("fcntl(F_SETFD)");
  return {};
}

SysResult<void> check_kept(unsigned fd) noexcept {
  const int flags = ::fcntl(static_cast<int>(fd), F_GETFD);
  if (flags < 0) return sys_fail("fcntl(F_GETFD)");
  if ((flags & FD_CLOEXEC) == 0) return not_held("a descriptor of the launch survives execve");
  return {};
}

// One entry of getdents64(2).
struct Entry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

// Walks /proc/self/fd; `judge` is asked about each number.
template <class Judge>
SysResult<void> for_each_open(int listing, Judge&& judge) noexcept {
  alignas(std::uint64_t) char buffer[4096];
  for (;;) {
    const long size = ::syscall(SYS_getdents64, listing, buffer, sizeof buffer);
    if (size < 0) return sys_fail("getdents64", "self/fd");
    if (size == 0) return {};
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->size;
      const auto number = parse_number<unsigned>(entry->name);
      if (number) TRY(judge(*number));  // "." and ".." are no numbers
    }
  }
}

SysResult<void> list_others(int proc, unsigned first_free, const KeptNumbers& kept) noexcept {
  TRY_ASSIGN(const Fd listing, open_at(proc, "self/fd", O_RDONLY | O_DIRECTORY));
  const auto own = static_cast<unsigned>(listing.get());
  return for_each_open(listing.get(), [&](unsigned fd) noexcept -> SysResult<void> {
    if (fd < first_free || fd == own || kept.holds(fd)) return {};
    return not_held("a descriptor is open that nobody asked for");
  });
}

// Nothing is open but what is below `first_free` and `kept`, all of which are open.
SysResult<void> check_no_others(int proc, unsigned first_free, const KeptNumbers& kept) noexcept {
  // Since Linux 6.2 the directory's size is the number of open descriptors: if it is the number of
  // those that should be, there are no others.
  struct stat status{};
  if (::fstatat(proc, "self/fd", &status, 0) != 0) return sys_fail("stat", "self/fd");
  std::size_t expected = kept.all().size();
  for (unsigned fd = 0; fd < first_free; ++fd)
    if (::fcntl(static_cast<int>(fd), F_GETFD) >= 0) ++expected;
  if (status.st_size > 0) {
    if (static_cast<std::size_t>(status.st_size) == expected) return {};
    return not_held("a descriptor is open that nobody asked for");
  }
  return list_others(proc, first_free, kept);
}

}  // namespace

Result<Descriptors::Plan> Descriptors::describe(const Request& request, const HostFacts&) {
  constexpr unsigned kMost = 1U << 20;
  if (request.preserved_descriptors > kMost)
    return fail(ErrorKind::kUsage,
                "--preserve-fds: " + std::to_string(request.preserved_descriptors) +
                    " is more than a process can have open");
  return Plan{request.preserved_descriptors};
}

Explanation Descriptors::explain(const Plan& plan) {
  Explanation explanation;
  std::string open = "0 to 2";
  if (plan.preserved > 0) open.append(", 3 to " + std::to_string(kFirst + plan.preserved - 1));
  explanation.facts.push_back({"open", open, plan.preserved > 0 ? "--preserve-fds" : ""});
  return explanation;
}

SysResult<void> Descriptors::apply(const Plan& plan, ChildContext& child) noexcept {
  TRY_ASSIGN(const KeptNumbers kept, kept_by(plan, child));
  const unsigned first_free = kFirst + plan.preserved;
  for (unsigned fd = kFirst; fd < first_free; ++fd) TRY(hand_over(fd));
  unsigned from = first_free;
  for (const unsigned fd : kept.all()) {
    if (fd > from) TRY(close_between(from, fd - 1));
    from = fd + 1;
  }
  TRY(close_between(from, kLast));
  child.root = -1;
  child.console = -1;
  return {};
}

SysResult<void> Descriptors::verify(const Plan& plan, ChildContext& child) noexcept {
  TRY_ASSIGN(const KeptNumbers kept, kept_by(plan, child));
  for (const unsigned fd : kept.all()) TRY(check_kept(fd));
  TRY(check_no_others(child.proc, kFirst + plan.preserved, kept));
  // It shows the host's processes: it must not be there when the program's path is resolved.
  if (::close(child.proc) != 0) return sys_fail("close");
  child.proc = -1;
  return {};
}

SysResult<void> Descriptors::verify_by_listing(const Plan& plan, ChildContext& child) noexcept {
  TRY_ASSIGN(const KeptNumbers kept, kept_by(plan, child));
  return list_others(child.proc, kFirst + plan.preserved, kept);
}

}  // namespace bulkhead::isolation
