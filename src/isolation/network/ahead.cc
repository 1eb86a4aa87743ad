#include "isolation/network/ahead.h"

#include <linux/futex.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <csignal>

#include "sys/raw_call.h"

namespace bulkhead::isolation {

bool NetworkAhead::fits(const oci::Spec& spec) {
  bool asked = false;
  for (const oci::Namespace& entry : spec.linux_.namespaces) {
    if (entry.type == oci::NamespaceType::kUser) return false;
    if (entry.type == oci::NamespaceType::kNetwork) asked = entry.path.empty();
  }
  return asked;
}

#if defined(BULKHEAD_HAS_RAW_CALL)

int NetworkAhead::make(void* self) noexcept {
  auto& ahead = *static_cast<NetworkAhead*>(self);
  if (raw_call(SYS_unshare, CLONE_NEWNET) != 0) return 0;
  const long socket = raw_call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return 0;
  ahead.socket_ = static_cast<int>(socket);
  struct ifreq loopback{};
  loopback.ifr_name[0] = 'l';
  loopback.ifr_name[1] = 'o';
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  if (raw_call(SYS_ioctl, socket, SIOCSIFFLAGS, as_argument(&loopback)) != 0) return 0;
  // The namespace of the socket, by descriptor: Linux 4.9. Close-on-exec, as nsfs always is.
  const long made = raw_call(SYS_ioctl, socket, SIOCGSKNS);
  if (made >= 0) ahead.namespace_ = static_cast<int>(made);
  return 0;
}

void NetworkAhead::start() noexcept {
  // It runs with every signal blocked: a handler would need thread-local storage of its own.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  if (::sigprocmask(SIG_SETMASK, &all, &before) != 0) return;
  running_ = 1;
  constexpr int kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                          CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
  if (::clone(&NetworkAhead::make, stack_ + sizeof stack_, kThread, this, nullptr, nullptr,
              &running_) < 0)
    running_ = 0;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

void NetworkAhead::wait() noexcept {
  for (;;) {
    const int running = __atomic_load_n(&running_, __ATOMIC_ACQUIRE);
    if (running == 0) return;
    (void)raw_call(SYS_futex, as_argument(&running_), FUTEX_WAIT, running);
  }
}

#else

int NetworkAhead::make(void*) noexcept { return 0; }
void NetworkAhead::start() noexcept {}
void NetworkAhead::wait() noexcept {}

#endif

Fd NetworkAhead::take() noexcept {
  wait();
  Fd(std::exchange(socket_, -1)).reset();
  return Fd(std::exchange(namespace_, -1));
}

}  // namespace bulkhead::isolation
