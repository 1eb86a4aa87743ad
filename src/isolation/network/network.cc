#include "isolation/network/network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/text.h"
#include "sys/fd.h"

namespace bulkhead::isolation {
namespace {

// Interface ioctls work on a socket of any family; this one exists in every kernel.
SysResult<Fd> any_socket() noexcept {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return sys_fail("socket");
  return Fd(fd);
}

struct ifreq loopback() noexcept {
  struct ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  return request;
}

}  // namespace

Result<NetworkNamespace::Plan> NetworkNamespace::describe(const Request& request,
                                                          const HostFacts& host) {
  constexpr int kCapNetAdmin = 12;
  if (!request.spec.linux_.net_devices.empty() && !request.joining &&
      !(host.privileged() && host.has_capability(kCapNetAdmin)))
    return fail(ErrorKind::kPermission,
                "/linux/netDevices/" + request.spec.linux_.net_devices.begin()->first +
                    ": only the host's root can move its network devices",
                "run as root with CAP_NET_ADMIN, or leave the devices out");
  return plan_namespace(oci::NamespaceType::kNetwork, request, host);
}

Explanation NetworkNamespace::explain(const Plan& plan) {
  Explanation explanation = explain_namespace(
      plan, "the container uses the host's interfaces, ports and abstract sockets");
  if (plan.wish == NamespaceWish::kNew)
    explanation.facts.push_back({"loopback", "up", "the only interface of a new namespace"});
  return explanation;
}

SysResult<void> NetworkNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  if (plan.is_new() && child.network >= 0) {
    if (::setns(child.network, CLONE_NEWNET) != 0)
      return sys_fail("setns(CLONE_NEWNET)", "the namespace that was made ahead");
    return {};
  }
  TRY(enter_namespace(plan, child));
  if (plan.wish != NamespaceWish::kNew) return {};
  TRY_ASSIGN(const Fd socket, any_socket());
  struct ifreq request = loopback();
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0)
    return sys_fail("ioctl(SIOCSIFFLAGS)", "lo");
  return {};
}

SysResult<void> NetworkNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  TRY(verify_namespace(plan, child));
  if (plan.wish != NamespaceWish::kNew) return {};
  TRY_ASSIGN(const Fd socket, any_socket());
  struct ifreq request = loopback();
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0)
    return sys_fail("ioctl(SIOCGIFFLAGS)", "lo");
  if ((request.ifr_flags & IFF_UP) == 0) return not_held("the loopback interface is down", "lo");
  return {};
}

}  // namespace bulkhead::isolation
