// What the user wants, understood: every flag's value checked, nothing yet decided about the host or
// the image. Pure, but for reading the environment and the files that flags name for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/device_flag.h"
#include "engine/limits.h"
#include "engine/metadata.h"
#include "engine/options.h"
#include "engine/sharing.h"
#include "engine/storage_options.h"
#include "volumes/record.h"

namespace bulkhead::engine {

// -v SOURCE:DESTINATION[:OPTIONS], -v NAME:DESTINATION[:OPTIONS], -v DESTINATION
struct Volume {
  std::string source;  // absolute, on the host; of a volume of the store set by attach_volumes()
  std::string destination;  // absolute, in the container
  bool read_only = false;
  bool recursive = true;  // mounts beneath the source come along
  // Ids are shown as they are on the host: 0 is root in and outside, for files of this mount alone.
  // Without, files belong to whom the container's range says, else to nobody.
  bool id_mapped = true;
  std::vector<std::string> further_options;  // noexec, rslave, ...

  // A volume of the store, not a path of the host.
  bool is_volume = false;
  std::string name;            // empty: it gets one of its own
  bool anonymous = false;      // it goes with the container
  bool no_copy = false;        // the image's content does not fill it
  bool kept_here = false;      // its content lies in the store; set by attach_volumes()
  std::string subpath;         // only this of it
  volumes::Words labels = {};  // of a new one
  volumes::Words driver_options = {};
};

struct TmpfsMount {
  std::string destination;
  std::vector<std::string> options;
};

enum class NetworkMode { kNone, kHost };

// --security-opt
struct SecurityChoices {
  bool no_new_privileges = true;
  bool system_paths_open = false;  // systempaths=unconfined
  bool seccomp_unconfined = false;
  std::string seccomp_profile;               // a file; empty: the built-in profile
  std::optional<std::string> apparmor;       // a profile's name or "unconfined"
  bool selinux_disabled = false;             // label=disable
  std::optional<std::string> selinux_label;  // composed of label=user:, role:, type:, level:
  std::optional<std::string> landlock;       // a file with the rule set, or "unconfined"
};

struct Wish {
  std::optional<std::string> user;
  std::optional<std::string> workdir;
  std::optional<std::string> hostname;
  std::optional<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> env;  // "NAME=value"
  bool terminal = false;
  bool read_only = false;
  bool init = false;                      // bulkhead-init as process 1
  std::vector<std::string> capabilities;  // names; what the container holds, sorted by number
  SecurityChoices security;
  std::optional<std::int64_t> memory;       // bytes; -1: unlimited
  std::optional<std::int64_t> memory_swap;  // bytes, memory and swap together; -1: unlimited
  std::optional<std::int64_t> cpu_thousandths;
  std::optional<std::int64_t> pids_limit;  // -1: unlimited
  NetworkMode network = NetworkMode::kNone;
  std::vector<Volume> volumes;
  std::vector<std::string> volumes_from;  // NAME[:ro|rw]
  std::vector<TmpfsMount> tmpfs;
  StorageChoices storage;
  std::optional<std::int64_t> timeout_milliseconds;

  std::string domainname;
  std::vector<std::string> group_add;  // names or numbers, the image's
  Metadata metadata;
  Limits limits;
  Sharing sharing;
  DeviceWishes devices;
  std::map<std::string, std::string> sysctls;
  bool privileged = false;
  bool untrusted = false;  // --preset untrusted
  // What Docker calls "attached", and whether signals of ours are the container's.
  bool pass_signals = true;
};

// Where --init's program stands in the container.
inline constexpr std::string_view kInitPath = "/dev/init";

// Whether the place of --init's program is left to it. Again when the image's volumes are known.
Result<void> check_init(const Wish& wish);

// Errors name the flag.
Result<Wish> read_wish(const RunOptions& options);

// One flag's value each; also for tests.
Result<Volume> parse_volume(std::string_view text);
Result<TmpfsMount> parse_tmpfs(std::string_view text);
Result<std::vector<std::string>> choose_capabilities(const std::vector<std::string>& added,
                                                     const std::vector<std::string>& dropped);

}  // namespace bulkhead::engine
