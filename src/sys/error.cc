#include "sys/error.h"

#include <cstring>
#include <utility>

#include "base/text.h"

namespace bulkhead {

ErrorKind kind_of_errno(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
    case EROFS: return ErrorKind::kPermission;
    case ENOENT:
    case ESRCH: return ErrorKind::kNotFound;
    case EEXIST: return ErrorKind::kExists;
    case ENOSYS:
    case EOPNOTSUPP: return ErrorKind::kUnsupported;
    default: return ErrorKind::kSystem;
  }
}

const char* errno_text(int error) {
  const char* text = ::strerrordesc_np(error);
  return text != nullptr ? text : "unknown error";
}

std::string missing_call_hint(std::string_view call, int error) {
  if (error != ENOSYS) return {};
  constexpr std::pair<std::string_view, std::string_view> kSince[] = {
      {"clone3", "5.3"},     {"close_range", "5.9"}, {"memfd_create", "3.17"},
      {"pidfd_open", "5.3"}, {"openat2", "5.6"},     {"pidfd_send_signal", "5.1"},
      {"fsopen", "5.2"},     {"fsconfig", "5.2"},    {"mount_setattr", "5.12"},
      {"fsmount", "5.2"},    {"open_tree", "5.2"},   {"move_mount", "5.2"},
      {"waitid", "5.4"},     {"landlock", "5.13"},   {"pivot_root", "2.3.41"},
      {"execveat", "3.19"},  {"setns", "3.0"},       {"seccomp", "3.17"},
  };
  for (const auto& [name, since] : kSince)
    if (call.starts_with(name))
      return std::string("this kernel, or a filter around this process, does not have ")
          .append(name)
          .append(": it is there from Linux ")
          .append(since)
          .append(" on");
  return {};
}

SysError::operator Error() const {
  std::string message = call;
  if (subject != nullptr) message.append(" ").append(quoted(subject));
  message.append(": ").append(errno_text(error));
  return {kind_of_errno(error), std::move(message), missing_call_hint(call, error)};
}

}  // namespace bulkhead
