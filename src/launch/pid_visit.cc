#include "launch/pid_visit.h"

#include <sched.h>

#include "sys/file.h"

namespace bulkhead::launch {

Result<PidNamespaceVisit> PidNamespaceVisit::enter(const PidFd& process, bool enter) {
  if (!enter) return PidNamespaceVisit(Fd());
  TRY_ASSIGN(Fd home, open_at(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY));
  if (::setns(process.get(), CLONE_NEWPID) != 0)
    return std::unexpected(Error(SysError{"setns(CLONE_NEWPID)", errno})
                               .within("joining the container's pid namespace"));
  return PidNamespaceVisit(std::move(home));
}

PidNamespaceVisit::~PidNamespaceVisit() {
  if (home_) (void)::setns(home_.get(), CLONE_NEWPID);
}

}  // namespace bulkhead::launch
