// Numbers that know whose they are: a HostUid cannot be passed where a ContainerUid is meant.
#pragma once

#include <compare>
#include <cstdint>

namespace bulkhead {

template <class Number, class Tag>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(Number value) : value_(value) {}
  constexpr Number value() const { return value_; }
  constexpr auto operator<=>(const Id&) const = default;

 private:
  Number value_{};
};

using HostUid = Id<std::uint32_t, struct HostUidTag>;
using HostGid = Id<std::uint32_t, struct HostGidTag>;
using ContainerUid = Id<std::uint32_t, struct ContainerUidTag>;
using ContainerGid = Id<std::uint32_t, struct ContainerGidTag>;
using HostPid = Id<std::int32_t, struct HostPidTag>;
using ContainerPid = Id<std::int32_t, struct ContainerPidTag>;

}  // namespace bulkhead
