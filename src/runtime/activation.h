// What a service manager hands through us to the workload: sockets (LISTEN_FDS) and a place to say
// that it is ready (NOTIFY_SOCKET).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "oci/spec.h"
#include "runtime/record.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

// How many descriptors from 3 on the workload inherits (isolation::Request::preserved_descriptors):
// those of LISTEN_FDS in our environment, when LISTEN_PID is absent or our own, then `preserve_fds`
// more. With LISTEN_FDS the process's environment gets LISTEN_FDS, LISTEN_PID=1 and LISTEN_FDNAMES.
// kInvalid when one of the descriptors is not open. Their close-on-exec flag is taken off.
Result<std::uint32_t> pass_descriptors(oci::Process& process, std::uint32_t preserve_fds);

// NOTIFY_SOCKET at create: the host's socket is neither in the container's root nor for its ears,
// so a directory of the container's record is bound to /run/notify, and the workload is told of
// /run/notify/notify.sock. False and nothing done when our environment has no NOTIFY_SOCKET.
Result<bool> offer_notify_socket(oci::Spec& spec, const ContainerDirectory& directory);

// NOTIFY_SOCKET at start and run: the other end.
class NotifyRelay {
 public:
  // Binds the socket before the workload runs; false when the container was not offered one.
  static Result<NotifyRelay> listen(const ContainerDirectory& directory);
  NotifyRelay() = default;

  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
  // Until the container says READY=1, which is told to the host's socket together with MAINPID, or
  // until `init` ends. Everything else that the container writes is dropped.
  Result<void> wait_until_ready(const PidFd& init) const;

  // The same for a loop of the caller's own: poll get() for reading, then call this. True once the
  // host has been told.
  int get() const noexcept { return socket_.get(); }
  Result<bool> serve(const PidFd& init) const;

 private:
  Fd socket_;
  std::string host_;
};

}  // namespace bulkhead::runtime
