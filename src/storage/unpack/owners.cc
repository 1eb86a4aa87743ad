#include "storage/unpack/owners.h"

#include <unistd.h>

#include <string>

#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr const char* kAdvice =
    "run it as root; or, with ranges of your own in /etc/subuid and /etc/subgid, in a user "
    "namespace "
    "that has them (unshare --map-root-user --map-auto) and with a store of your own (--root)";

}  // namespace

Result<void> require_owners(std::string_view what) {
  const std::string who(what);
  if (::geteuid() != 0)
    return fail(ErrorKind::kPermission,
                who + " needs to be root: the files of an image have many owners", kAdvice);
  // Who makes a user namespace without a privilege (newuidmap has it) maps one id and may not set groups.
  const auto groups = read_file_at(AT_FDCWD, "/proc/self/setgroups", 64);
  if (groups && groups->starts_with("deny"))
    return fail(ErrorKind::kPermission,
                who +
                    " needs more than the one id that this user namespace has: the files of an "
                    "image have many owners",
                kAdvice);
  return {};
}

}  // namespace bulkhead::storage
