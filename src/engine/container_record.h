// What the engine remembers of a container that it keeps: two files in its directory of the store, each
// written whole and renamed.
//
//   container.json  what it is: fixed when it is made, but for its name and what `update` changes
//   life.json       how it goes: when it was started, and how it ended
//
// Beside them lies config.json, the OCI configuration that every start carries out. Whether a container
// runs is not read from here but told from the kernel.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/health.h"
#include "engine/result.h"
#include "isolation/request.h"
#include "supervise/log_file.h"
#include "supervise/restart.h"

namespace bulkhead::engine {

// One mount that the user, another container or the image asked for.
struct MountRecord {
  bool is_volume = false;  // of the store, by name; else a bind
  std::string name;
  std::string source;  // on the host
  std::string destination;
  std::string subpath;     // of a volume
  bool kept_here = false;  // the volume's content lies in the store: its mount is handed over
  bool anonymous = false;
  bool no_copy = false;
  bool read_only = false;
  bool recursive = true;
  bool id_mapped = true;
  std::vector<std::string> options;
};

// What was asked for in words that the configuration does not tell any more, for `inspect`.
struct GivenWords {
  bool attached = false;  // made by a run in the foreground, or by create
  bool privileged = false;
  bool init = false;
  std::vector<std::string> group_add;
  std::vector<std::string> devices;
  std::vector<std::string> device_rules;
  std::string ipc;  // "" where nothing was said
  std::string pid;
  std::string uts;
  std::string userns;
  std::string cgroupns;
  std::string cgroup_parent;
};

struct ContainerRecord {
  std::string id;
  std::string name;
  std::string image;                    // as the user named it
  std::string image_id;                 // of its configuration, hexadecimal
  std::string created;                  // RFC 3339
  std::vector<std::string> layers;      // storage::lower_paths()
  std::vector<std::string> id_places;   // directories of the host that may hold files of its ids
  std::vector<std::string> arguments;   // what runs
  std::vector<std::string> run_words;   // of the command line that made it, after the command
  std::vector<std::string> entrypoint;  // of these, the first
  std::vector<std::string> command;     // and the rest
  std::string user;                     // as it was given
  std::string stop_signal;              // "" for SIGTERM
  std::int64_t stop_timeout = 10;       // seconds; -1: for ever
  std::int64_t timeout_milliseconds = -1;
  supervise::RestartPolicy restart;
  supervise::LogSettings log;
  std::vector<std::string> log_options;  // as they were given
  std::int64_t output_bytes = -1;        // that it may write before it is ended; -1: without end
  HealthCheck health;
  std::string runtime;       // the program of another OCI runtime; empty: Bulkhead's own
  std::string unrepeatable;  // why it cannot be started again; empty: it can
  bool remove = false;       // goes when it has ended
  bool terminal = false;
  bool open_stdin = false;
  bool stdin_once = false;
  isolation::Defaults defaults;
  std::map<std::string, std::string> labels;
  std::string network;
  std::vector<std::string> opened;  // Composed::opened
  // As they were given, for `inspect`.
  std::vector<std::string> binds;
  std::vector<MountRecord> mounts;
  std::vector<std::string> tmpfs;
  std::vector<std::string> capabilities_added;
  std::vector<std::string> capabilities_dropped;
  std::vector<std::string> security_options;
  GivenWords given;
};

enum class LifeStatus { kCreated, kRunning, kRestarting, kExited };

struct LifeRecord {
  LifeStatus status = LifeStatus::kCreated;
  std::string started;   // RFC 3339; "" for never
  std::string finished;  // as above
  int exit_code = 0;
  int signal = 0;
  bool oom_killed = false;      // some process of it, not only the first
  std::uint64_t oom_kills = 0;  // how many
  std::string oom_victim;       // the last one: "python3 (pid 4711)"; empty where that is not known
  bool timed_out = false;
  bool output_limited = false;
  bool stopped_by_user = false;
  std::string error;  // why it could not be started, or how its end got lost
  std::uint32_t restarts = 0;
  std::optional<std::uint64_t> peak_memory_bytes;
  std::optional<std::uint64_t> cpu_nanoseconds;
  // Of its standard output and error, by which a new monitor finds them: pipe_number().
  std::optional<std::uint64_t> output_pipe;
  std::optional<std::uint64_t> error_pipe;
};

std::string encode(const ContainerRecord& record);
Result<ContainerRecord> decode_container_record(std::string_view text);
std::string encode(const LifeRecord& life);
Result<LifeRecord> decode_life_record(std::string_view text);

inline constexpr const char* kRecordFile = "container.json";
inline constexpr const char* kLifeFile = "life.json";
inline constexpr const char* kConfigFile = "config.json";

// Of the container's directory, held by descriptor. Reading: nothing when there is no such file.
Result<void> write_container_file(int directory, const char* name, std::string_view content);
Result<std::optional<ContainerRecord>> read_container_record(int directory);
Result<LifeRecord> read_life_record(int directory);
// Also on a disk that has become full since the first time: it goes where the last one but one was.
Result<void> write_life_record(int directory, const LifeRecord& life);

// Reads, changes and writes the record of a container that is in the store; one at a time.
Result<void> change_record(int store, std::string_view id,
                           const std::function<void(ContainerRecord&)>& change);

}  // namespace bulkhead::engine
