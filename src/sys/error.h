// What a system call said. Trivially copyable and made without allocation, so that the child half of
// a launch can return it; it becomes an Error (with text) only on the parent's side.
#pragma once

#include <cerrno>
#include <expected>

#include <string>
#include <string_view>

#include "base/error.h"

namespace bulkhead {

// `call` and `subject` point at static text or at text that outlives the error (a plan's own
// strings). `subject` is what the call was about: a path, a sysctl, a capability; may be null.
struct SysError {
  const char* call = "";
  int error = 0;
  const char* subject = nullptr;

  // "open \"/proc\": Permission denied", with the ErrorKind that the errno implies. Implicit: TRY crosses
  // from SysResult to Result.
  operator Error() const;  // NOLINT(google-explicit-constructor)
};

template <class T = void>
using SysResult = std::expected<T, SysError>;

// The errno of the call that just failed. Reads errno, so call it first thing after the failure.
inline std::unexpected<SysError> sys_fail(const char* call,
                                          const char* subject = nullptr) noexcept {
  return std::unexpected(SysError{call, errno, subject});
}
inline std::unexpected<SysError> sys_fail_with(int error, const char* call,
                                               const char* subject = nullptr) noexcept {
  return std::unexpected(SysError{call, error, subject});
}

ErrorKind kind_of_errno(int error);
// Since when the kernel has the call that was answered with ENOSYS, in a sentence; else empty.
std::string missing_call_hint(std::string_view call, int error);
const char* errno_text(int error);  // "Permission denied"; never null

}  // namespace bulkhead
