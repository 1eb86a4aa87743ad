// Capabilities by number and by name: capabilities(7) as of Linux 6.x.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::isolation {

inline constexpr int kCapabilityCount = 41;  // CAP_CHECKPOINT_RESTORE (5.9) is number 40

// "CAP_CHOWN" in any case; the prefix is required, as the runtime specification writes it.
std::optional<int> capability_number(std::string_view name);
// As people write it on a command line: any case, with or without the prefix.
std::optional<int> capability_number_of_user(std::string_view name);

// "CAP_CHOWN"; "CAP_41" for a number that has no name here.
std::string capability_name(int number);
// Static text for an error.
const char* capability_text(int number) noexcept;

// "CAP_CHOWN CAP_KILL", "none", "all 41": a set in words. `last` is the kernel's last capability.
std::string capability_set_in_words(std::uint64_t set, int last = kCapabilityCount - 1);
std::vector<std::string> capability_names(std::uint64_t set);

constexpr std::uint64_t capability_bit(int number) { return std::uint64_t{1} << number; }
// All capabilities up to and including number `last`.
constexpr std::uint64_t all_capabilities(int last) {
  return last >= 63 ? ~std::uint64_t{0} : (std::uint64_t{1} << (last + 1)) - 1;
}

inline constexpr int kCapSetGid = 6;
inline constexpr int kCapSetUid = 7;
inline constexpr int kCapSetPcap = 8;
inline constexpr int kCapSysAdmin = 21;
inline constexpr int kCapSysNice = 23;
inline constexpr int kCapSysResource = 24;
inline constexpr int kCapSetFcap = 31;

}  // namespace bulkhead::isolation
