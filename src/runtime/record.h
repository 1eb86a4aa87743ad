// What the runtime remembers of a container: the directory <state root>/<id>. It lies on a tmpfs,
// so nothing is synced; every file is either written before anybody looks for it or renamed into
// place.
//
//   state.json     what never changes after create has begun; written before the first cgroup is
//                  made, so that `delete --force` can undo a create that was killed at any moment
//   config.json    the configuration as it was at create
//   init.creating  pid and start time of the container's first process, written after clone; its
//   init           name from the moment create has succeeded
//   start.sock     the container's first process listens on it until it is started
//
// The status is not stored: it is read from the kernel each time.
//
//   no init at all                        creating
//   init.creating, the process lives      creating
//   the process is gone                   stopped (its pid is held together with its start time)
//   init, start.sock is there             created
//   init, otherwise                       running, or paused when its group is frozen
//
// The directory itself carries the lock (flock) of the commands that change a container.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "isolation/request.h"
#include "oci/spec.h"
#include "oci/state.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

// /run/bulkhead/runtime, or $XDG_RUNTIME_DIR/bulkhead/runtime for everybody but the host's root.
Result<std::string> default_state_root();

// Letters, digits and "_+-.", at most 1024 bytes, not "." or "..".
Result<void> check_id(std::string_view id);

using oci::Status;

// The content of state.json.
struct Record {
  std::string id;
  std::string oci_version;
  std::string bundle;   // absolute
  std::string rootfs;   // absolute
  std::string created;  // RFC 3339 with nanoseconds, UTC: now_rfc3339()
  oci::Annotations annotations;
  std::vector<std::string> cgroup_directories;  // isolation::cgroup_record()
  // Those of them that were there before the container, and stay when it goes.
  std::vector<std::string> found_cgroups;
  std::vector<std::string> resctrl_directories;  // isolation::resctrl_record()
  isolation::CgroupDriver cgroup_driver = isolation::CgroupDriver::kCgroupfs;
  // The container has a pid namespace of its own: when its init dies, all of it is dead.
  bool own_pid_namespace = true;
  bool has_poststop_hooks = false;
};

// The container's first process. Pid 0: none is known.
struct InitProcess {
  HostPid pid;
  std::uint64_t start_time = 0;  // start_time_of()
};

// A status together with the process that it was read of.
struct Observation {
  Status status = Status::kStopped;
  InitProcess init;  // as recorded; still there in every status but kStopped
};

// The hold on one container's directory. Dropping it drops the lock, not the container.
class ContainerDirectory {
 public:
  // Takes the id by mkdir and locks the directory; makes the state root when needed. kExists when
  // the id is taken.
  static Result<ContainerDirectory> take(const std::string& state_root, std::string_view id);
  // Opens an existing one, without the lock. kNotFound: `container "x" does not exist`.
  static Result<ContainerDirectory> open(const std::string& state_root, std::string_view id);
  // As open, and waits for the lock. kNotFound also when the container goes while we wait.
  static Result<ContainerDirectory> open_locked(const std::string& state_root, std::string_view id);

  // The ids under `state_root`, sorted; none when it does not exist.
  static Result<std::vector<std::string>> list(const std::string& state_root);

  // Gives the lock up early, as `run` does before it waits for the container, and takes it again:
  // ENOENT when somebody has removed the container meanwhile. A child that inherits the descriptor
  // shares the lock until it closes it.
  void unlock() const noexcept;
  SysResult<void> lock() const noexcept;
  // The same without waiting: EWOULDBLOCK when somebody else holds it.
  SysResult<void> try_lock() const noexcept;

  int get() const noexcept { return directory_.get(); }
  const std::string& id() const noexcept { return id_; }
  const std::string& path() const noexcept { return path_; }  // for messages

  Result<void> write_record(const Record& record) const;
  Result<Record> read_record() const;

  Result<void> write_config(std::string_view json) const;
  Result<std::string> read_config() const;

  // After clone; then, once create cannot fail any more, confirm_init().
  SysResult<void> write_init(const InitProcess& init) const noexcept;
  SysResult<void> confirm_init() const noexcept;

  // A listening SOCK_SEQPACKET socket at start.sock, to be inherited by the container's init. The
  // path may be longer than a socket address: it is bound by way of /proc/self/fd.
  SysResult<Fd> bind_start_socket() const noexcept;
  // ENOENT: started already; ECONNREFUSED: nobody listens, the init is gone or started.
  SysResult<Fd> connect_start_socket() const noexcept;
  // From now on the container counts as started. Fine when it is gone already.
  SysResult<void> remove_start_socket() const noexcept;

  // The first process as far as it is recorded, whether create has succeeded or not.
  Result<std::optional<InitProcess>> first_process() const;
  Result<Observation> observe(const Record& record) const;
  // The init held by descriptor; ESRCH as kNotFound when it is gone.
  static Result<PidFd> hold(const InitProcess& init);

  // Removes the files and the directory: the id is free again. Last of all that delete does.
  Result<void> remove() &&;

 private:
  ContainerDirectory(Fd directory, std::string id, std::string path)
      : directory_(std::move(directory)), id_(std::move(id)), path_(std::move(path)) {}
  SysResult<void> lock_with(int operation) const noexcept;
  Result<void> replace_file(const char* name, std::string_view content) const;

  Fd directory_;
  std::string id_;
  std::string path_;
};

// Now, as "2026-01-31T23:59:59.123456789Z".
std::string now_rfc3339();

}  // namespace bulkhead::runtime
