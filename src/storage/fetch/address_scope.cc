#include "storage/fetch/address_scope.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace bulkhead::storage {
namespace {

struct Range {
  std::uint32_t first;
  int bits;
  AddressScope scope;
};

// The IANA registry of special-purpose addresses, as far as it is not "globally reachable".
constexpr Range kRanges[] = {
    {0x00000000, 8, AddressScope::kHost},      // "this network": Linux connects it to itself
    {0x0A000000, 8, AddressScope::kPrivate},   // 10/8
    {0x64400000, 10, AddressScope::kPrivate},  // 100.64/10
    {0x7F000000, 8, AddressScope::kHost},      // 127/8
    {0xA9FE0000, 16, AddressScope::kNever},    // 169.254/16
    {0xAC100000, 12, AddressScope::kPrivate},  // 172.16/12
    {0xC0000000, 24, AddressScope::kNever},    // 192.0.0/24
    {0xC0A80000, 16, AddressScope::kPrivate},  // 192.168/16
    {0xC6120000, 15, AddressScope::kPrivate},  // 198.18/15, benchmarks
    {0xE0000000, 4, AddressScope::kNever},     // multicast
    {0xF0000000, 4, AddressScope::kNever},     // reserved, broadcast
};

AddressScope scope_of_v4(std::uint32_t address) {
  for (const Range& range : kRanges)
    if ((address ^ range.first) >> (32 - range.bits) == 0) return range.scope;
  return AddressScope::kInternet;
}

std::uint32_t v4_at(const std::array<std::uint8_t, 16>& bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
         std::uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
}

AddressScope scope_of_v6(const std::array<std::uint8_t, 16>& bytes) {
  const auto zero_until = [&](std::size_t end) {
    return std::all_of(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(end),
                       [](std::uint8_t byte) { return byte == 0; });
  };
  if (zero_until(15) && bytes[15] <= 1) return AddressScope::kHost;  // "::" and "::1"
  if (zero_until(10) && bytes[10] == 0xFF && bytes[11] == 0xFF)
    return scope_of_v4(v4_at(bytes, 12));
  if (zero_until(12)) return AddressScope::kNever;  // IPv4-compatible, long deprecated
  constexpr std::array<std::uint8_t, 12> kNat64{0x00, 0x64, 0xFF, 0x9B};
  if (std::equal(kNat64.begin(), kNat64.end(), bytes.begin())) return scope_of_v4(v4_at(bytes, 12));
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return scope_of_v4(v4_at(bytes, 2));  // 6to4
  if ((bytes[0] & 0xFE) == 0xFC) return AddressScope::kPrivate;                   // fc00::/7
  // Global unicast is 2000::/3; what lies outside (fe80::/10, ff00::/8, ...) leads nowhere global.
  return (bytes[0] & 0xE0) == 0x20 ? AddressScope::kInternet : AddressScope::kNever;
}

}  // namespace

AddressScope scope_of(const struct sockaddr& address) {
  if (address.sa_family == AF_INET) {
    struct sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return scope_of_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    struct sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return scope_of_v6(bytes);
  }
  return AddressScope::kNever;
}

}  // namespace bulkhead::storage
