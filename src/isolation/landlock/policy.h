// What a container may touch under Landlock, as the annotation org.bulkhead.landlock says it in
// JSON:
//
//   {
//     "mode": "required",
//     "paths": [
//       {"path": "/", "access": ["read", "execute"]},
//       {"path": "/data", "access": ["all"]},
//       {"path": "/run/app", "access": ["read", "write", "create"], "optional": true}
//     ],
//     "tcp": {"bind": [8080], "connect": [5432]},
//     "scopes": ["abstract-unix-sockets", "signals"]
//   }
//
// mode     "required" (what is taken when it is absent): the start is refused where the kernel
// cannot
//          enforce all of it. "best-effort": what it can enforce is enforced, and explain and state
//          tell the rest.
// paths    When present, nothing but these trees (or files) can be used, and with the listed access
//          only. Paths are the container's; they must exist unless they are optional. Access:
//            read     read files, list directories
//            write    write and truncate files
//            execute  execute files
//            create   make files, directories, symbolic links, sockets and FIFOs
//            remove   remove files and directories
//            refer    rename and link between directories
//            ioctl    ioctl on devices
//            devices  make device nodes
//            all      everything
// tcp      bind and connect: when a list is present, only its ports; an empty list closes TCP.
// scopes   Closed towards processes outside of the container's domain.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::isolation::landlock {

// The kernel's bits (linux/landlock.h), and the ABI that brought those after the first.
inline constexpr std::uint64_t kExecute = 1U << 0;
inline constexpr std::uint64_t kWriteFile = 1U << 1;
inline constexpr std::uint64_t kReadFile = 1U << 2;
inline constexpr std::uint64_t kReadDir = 1U << 3;
inline constexpr std::uint64_t kRemoveDir = 1U << 4;
inline constexpr std::uint64_t kRemoveFile = 1U << 5;
inline constexpr std::uint64_t kMakeChar = 1U << 6;
inline constexpr std::uint64_t kMakeDir = 1U << 7;
inline constexpr std::uint64_t kMakeReg = 1U << 8;
inline constexpr std::uint64_t kMakeSock = 1U << 9;
inline constexpr std::uint64_t kMakeFifo = 1U << 10;
inline constexpr std::uint64_t kMakeBlock = 1U << 11;
inline constexpr std::uint64_t kMakeSym = 1U << 12;
inline constexpr std::uint64_t kRefer = 1U << 13;        // ABI 2, Linux 5.19
inline constexpr std::uint64_t kTruncate = 1U << 14;     // ABI 3, Linux 6.2
inline constexpr std::uint64_t kIoctlDevice = 1U << 15;  // ABI 5, Linux 6.10
inline constexpr std::uint64_t kAllFileSystem = (1U << 16) - 1;
// What a rule for something else than a directory may give.
inline constexpr std::uint64_t kOnFiles =
    kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;

inline constexpr std::uint64_t kBindTcp = 1U << 0;     // ABI 4, Linux 6.7
inline constexpr std::uint64_t kConnectTcp = 1U << 1;  // ABI 4

inline constexpr std::uint64_t kScopeAbstractUnixSocket = 1U << 0;  // ABI 6, Linux 6.12
inline constexpr std::uint64_t kScopeSignal = 1U << 1;              // ABI 6

// The newest ABI of which this build knows something to enforce.
inline constexpr int kNewestAbi = 6;

std::uint64_t file_system_access_of(int abi);  // what the kernel can handle

enum class Mode { kRequired, kBestEffort };

struct PathAccess {
  std::string path;  // absolute
  std::uint64_t access = 0;
  bool optional = false;
};

struct Policy {
  Mode mode = Mode::kRequired;
  std::optional<std::vector<PathAccess>> paths;
  std::optional<std::vector<std::uint16_t>> bind;
  std::optional<std::vector<std::uint16_t>> connect;
  std::uint64_t scopes = 0;
};

// Strict: unknown fields, words and empty policies are errors that say where.
Result<Policy> parse_policy(std::string_view json);

}  // namespace bulkhead::isolation::landlock
