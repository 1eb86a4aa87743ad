// Console: a terminal of the container's own, from its own devpts.
//
// Stops:         the container holding a terminal of the host (TIOCSTI into the caller's shell); a
//                swapped /dev/pts/N being bound or opened instead of the terminal (CVE-2025-52565).
// Does not stop: escape sequences that the container writes to whoever shows the master.
// Kernel:        devpts; TIOCGPTPEER, Linux 4.13: the slave is opened from the master, not by path.
// Order:         after the mounts, which bring the devpts; after devices, which make /dev.
#pragma once

#include <cstdint>
#include <optional>

#include "isolation/layer.h"
#include "isolation/mounts/place.h"

namespace bulkhead::isolation {

struct ConsolePlan {
  bool terminal = false;
  bool bind_console = false;  // on /dev/console; exec leaves the one of create
  Place multiplexer;          // /dev/pts/ptmx
  Place console;              // /dev/console
  std::optional<oci::ConsoleSize> size;
  std::uint32_t owner = 0;  // the process's user, who must be able to open his own terminal again
};

struct Console {
  static constexpr std::string_view kName = "console";
  static constexpr Card kCard{
      "the container holding a terminal of the host; a swapped /dev/pts/N passing for its own",
      "escape sequences written to whoever shows the terminal", "devpts; TIOCGPTPEER, Linux 4.13",
      "after the mounts, which bring the devpts, and after devices, which make /dev"};
  using Plan = ConsolePlan;
  using After = LayerList<struct EarlyMounts, struct LateMounts, struct Devices>;

  static Result<Plan> describe(const Request& request, const HostFacts& host);
  static Explanation explain(const Plan& plan);
  // Opens the pair, sends the master to the parent ("console"), makes the slave the controlling
  // terminal (the process must lead its session) and descriptors 0 to 2.
  static SysResult<void> apply(const Plan& plan, ChildContext& child) noexcept;
  static SysResult<void> verify(const Plan& plan, ChildContext& child) noexcept;
};

}  // namespace bulkhead::isolation
