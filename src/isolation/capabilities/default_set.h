// What a container of `bulkhead` may do by default: Docker's list without five that hostile
// programs use and ordinary ones do without.
#pragma once

#include <array>

#include "isolation/capabilities/names.h"

namespace bulkhead::isolation {

// Kept, with what breaks without them.
inline constexpr std::array kDefaultCapabilities{
    0,   // CAP_CHOWN: package managers, entrypoints that hand over a volume
    1,   // CAP_DAC_OVERRIDE: root reading and writing files of other users inside
    3,   // CAP_FOWNER: chmod and utime on files of other users inside
    4,   // CAP_FSETID: keeping setgid bits when root writes
    5,   // CAP_KILL: a supervisor signalling services of other users
    6,   // CAP_SETGID: services that drop root themselves
    7,   // CAP_SETUID: likewise
    8,   // CAP_SETPCAP: likewise, with capabilities
    10,  // CAP_NET_BIND_SERVICE: ports below 1024
};

// Left out of Docker's list, with the reason.
//   CAP_NET_RAW       forging packets on a shared network (ARP and DNS spoofing); ping works
//   without
//                     it where net.ipv4.ping_group_range allows it
//   CAP_MKNOD         device nodes: reachable devices are given, not made
//   CAP_SYS_CHROOT    chroot escapes, and a building block of many attacks on path resolution
//   CAP_SETFCAP       file capabilities that outlive the container on shared volumes
//   CAP_AUDIT_WRITE   forging records in the host's audit log

constexpr std::uint64_t default_capability_set() {
  std::uint64_t set = 0;
  for (const int number : kDefaultCapabilities) set |= capability_bit(number);
  return set;
}

}  // namespace bulkhead::isolation
