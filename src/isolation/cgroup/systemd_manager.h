// systemd as the keeper of the cgroup tree: asks it, by its private socket, to make a scope around a
// process. Each call waits for the answer.
#pragma once

#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "isolation/cgroup/systemd_unit.h"
#include "sys/dbus.h"

namespace bulkhead::isolation::cgroup {

class SystemdManager {
 public:
  // The system's manager for the host's root, else that of the user: /run/systemd/private, or
  // $XDG_RUNTIME_DIR/systemd/private. kUnsupported when there is none.
  static Result<SystemdManager> connect(bool system);
  static Result<SystemdManager> connect_to(const std::string& socket);

  // "" for the system's manager, "/user.slice/user-1000.slice/user@1000.service" for a user's: the
  // group beneath which all of its units lie.
  const std::string& root() const noexcept { return root_; }
  // Where units go that name no slice.
  std::string default_slice() const { return root_.empty() ? "system.slice" : "user.slice"; }

  // Makes the scope with `init` in it and waits until it stands. A unit of the same name that has
  // failed is cleared first. Delegate=yes: systemd leaves what is inside the group alone.
  Result<void> start_scope(const SystemdUnit& unit, HostPid init,
                           const std::vector<DbusProperty>& properties);
  // Ends a unit and waits until it has. Fine when systemd does not know it.
  Result<void> stop(const std::string& unit);
  // Changes limits of a unit that runs, until it ends (not on disk).
  Result<void> set_properties(const std::string& unit, const std::vector<DbusProperty>& properties);

 private:
  explicit SystemdManager(DbusPeer peer) : peer_(std::move(peer)) {}
  Result<DbusMessage> call(std::string_view member, std::string_view signature,
                           const DbusBody& body, DbusFailure* failure = nullptr);
  Result<void> read_root();
  // "done", "failed", ...
  Result<std::string> result_of(std::string_view job);

  DbusPeer peer_;
  std::string root_;
};

}  // namespace bulkhead::isolation::cgroup
