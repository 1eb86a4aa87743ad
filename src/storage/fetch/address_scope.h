// How far an address of the network reaches. A registry on the internet must not make us ask the
// host's own services or its neighbours (a redirect to http://169.254.169.254/, say).
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace bulkhead::storage {

// In order of reach.
enum class AddressScope : std::uint8_t {
  kNever,    // link-local, multicast, broadcast, reserved: only where the user named the host
  kHost,     // loopback, and the unspecified address, which means it
  kPrivate,  // RFC 1918, RFC 6598, unique local addresses
  kInternet,
};

// Addresses of IPv4 within IPv6 (mapped, NAT64, 6to4) are what they lead to.
AddressScope scope_of(const struct sockaddr& address);

}  // namespace bulkhead::storage
