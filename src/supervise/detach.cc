#include "supervise/detach.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kMostKept = 16;

char* arguments_begin = nullptr;
std::size_t arguments_size = 0;

}  // namespace

void remember_arguments(int count, char** words) noexcept {
  if (count == 0) return;
  arguments_begin = words[0];
  arguments_size =
      static_cast<std::size_t>(words[count - 1] + std::strlen(words[count - 1]) - words[0]) + 1;
}

void show_as(std::string_view name, std::string_view title) noexcept {
  std::array<char, 16> short_name{};
  name.copy(short_name.data(), short_name.size() - 1);
  (void)::prctl(PR_SET_NAME, short_name.data(), 0, 0, 0);
  if (arguments_size == 0) return;
  std::memset(arguments_begin, 0, arguments_size);
  title.copy(arguments_begin, arguments_size - 1);
}

SysResult<void> leave_caller(std::span<const int> kept) noexcept {
  (void)::setsid();  // fails only for who leads a session already
  if (::chdir("/") != 0) return sys_fail("chdir", "/");
  TRY(set_umask(077));
  TRY_ASSIGN(Fd nothing, open_at(AT_FDCWD, "/dev/null", O_RDWR));
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::dup2(nothing.get(), stream) < 0) return sys_fail("dup2");
  nothing.reset();
  return close_all_but(kept);
}

SysResult<void> close_all_but(std::span<const int> kept) noexcept {
  std::array<unsigned, kMostKept> numbers{};
  std::size_t count = 0;
  for (const int fd : kept) {
    if (fd < 3) continue;
    if (count == numbers.size()) return sys_fail_with(E2BIG, "close_range");
    numbers[count++] = static_cast<unsigned>(fd);
  }
  std::sort(numbers.begin(), numbers.begin() + count);
  unsigned first = 3;
  for (std::size_t i = 0; i <= count; ++i) {
    const unsigned last = i < count ? numbers[i] - 1 : ~0U;
    if (first <= last && ::syscall(SYS_close_range, first, last, 0U) != 0)
      return sys_fail("close_range");
    if (i < count) first = numbers[i] + 1;
  }
  return {};
}

}  // namespace bulkhead::supervise
