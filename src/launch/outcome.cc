#include "launch/outcome.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

namespace bulkhead::launch {
namespace {

// They are put into messages without quotes.
void make_printable(std::span<char> text) noexcept {
  text.back() = '\0';
  for (char& c : text) {
    if (c == '\0') return;
    if (c < 0x20 || c > 0x7E) c = '?';
  }
}

}  // namespace

SysResult<Outcome> Outcome::make() noexcept {
  Fd file(
      static_cast<int>(::syscall(SYS_memfd_create, "outcome", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  if (!file) return sys_fail("memfd_create");
  if (::ftruncate(file.get(), sizeof(Page)) != 0) return sys_fail("ftruncate");
  return map(std::move(file));
}

SysResult<void> Outcome::seal() const noexcept {
  if (::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return sys_fail("fcntl(F_ADD_SEALS)");
  return {};
}

SysResult<Outcome> Outcome::open(Fd file) noexcept {
  // Not memory at all: no seals.
  const int seals = ::fcntl(file.get(), F_GET_SEALS);
  if (seals < 0) return sys_fail("fcntl(F_GET_SEALS)");
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return sys_fail("fstat");
  if ((seals & F_SEAL_SHRINK) == 0 || status.st_size < static_cast<off_t>(sizeof(Page)))
    return sys_fail_with(EBADMSG, "the page of the outcome");
  return map(std::move(file));
}

SysResult<Outcome> Outcome::map(Fd file) noexcept {
  void* const page =
      ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (page == MAP_FAILED) return sys_fail("mmap");
  return Outcome(std::move(file), static_cast<Page*>(page));
}

Outcome::~Outcome() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
}

Failure Outcome::failure() const noexcept {
  Failure failure = page_->failure;
  make_printable(failure.layer);
  make_printable(failure.call);
  failure.subject[sizeof failure.subject - 1] = '\0';
  failure.head_size = std::min<std::uint32_t>(failure.head_size, sizeof failure.head);
  return failure;
}

void Outcome::set_executing() const noexcept {
  page_->phase.store(Phase::kExecuting, std::memory_order_release);
}

void Outcome::set_failed(std::string_view layer, const SysError& error,
                         std::string_view head) const noexcept {
  Failure& failure = page_->failure;
  failure.error = error.error;
  copy_text(failure.layer, layer);
  copy_text(failure.call, error.call);
  copy_text(failure.subject, error.subject != nullptr ? error.subject : "");
  failure.head_size = static_cast<std::uint32_t>(std::min(head.size(), sizeof failure.head));
  if (failure.head_size != 0) std::memcpy(failure.head, head.data(), failure.head_size);
  page_->phase.store(Phase::kFailed, std::memory_order_release);
}

void copy_text(std::span<char> target, std::string_view text) noexcept {
  const std::size_t size = std::min(text.size(), target.size() - 1);
  if (size != 0) std::memcpy(target.data(), text.data(), size);
  target[size] = '\0';
}

}  // namespace bulkhead::launch
