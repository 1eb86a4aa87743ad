#include "launch/joins.h"

#include <sys/stat.h>

#include <algorithm>

#include "isolation/namespace.h"
#include "sys/file.h"

namespace bulkhead::launch {
namespace {

using oci::NamespaceType;

const oci::Namespace* find(const oci::Spec& spec, NamespaceType type) {
  const auto& all = spec.linux_.namespaces;
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const oci::Namespace& entry) { return entry.type == type; });
  return found == all.end() ? nullptr : &*found;
}

Result<void> add(Joins& joins, const oci::Namespace& entry) {
  // O_NONBLOCK: the path may be a FIFO by mistake.
  TRY_ASSIGN(Fd file, open_at(AT_FDCWD, entry.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, entry.path.c_str()}));
  const auto flag = isolation::namespace_flag(entry.type);
  joins.types |= flag;
  joins.numbers[static_cast<std::size_t>(entry.type)] = status.st_ino;
  joins.files.push_back({std::move(file), static_cast<int>(flag)});
  return {};
}

}  // namespace

Result<Joins> joins_before_clone(const oci::Spec& spec, bool privileged) {
  const oci::Namespace* user = find(spec, NamespaceType::kUser);
  const bool joins_user = user != nullptr && !user->path.empty();
  const bool new_user = user != nullptr && user->path.empty();
  Joins joins;
  // Without privilege on the host, everything but the user namespace itself can only be entered
  // from within it.
  if (joins_user && !privileged) TRY(add(joins, *user));
  for (const oci::Namespace& entry : spec.linux_.namespaces) {
    if (entry.path.empty() || entry.type == NamespaceType::kUser) continue;
    if (entry.type == NamespaceType::kPid || new_user) TRY(add(joins, entry));
  }
  if (joins_user && privileged) TRY(add(joins, *user));
  return joins;
}

}  // namespace bulkhead::launch
