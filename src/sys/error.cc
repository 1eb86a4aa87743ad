#include "sys/error.h"

#include <cstring>

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

SysError::operator Error() const {
  std::string message = call;
  if (subject != nullptr) message.append(" ").append(quoted(subject));
  message.append(": ").append(errno_text(error));
  return {kind_of_errno(error), std::move(message)};
}

}  // namespace bulkhead
