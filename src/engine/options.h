// What `bulkhead run` is asked for, as the command line has it: words, not yet understood.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bulkhead::engine {

struct StoreOptions {
  std::string root = "/var/lib/bulkhead";  // images and what containers write
  std::string runroot = "/run/bulkhead";   // what is running now
};

struct RunOptions {
  StoreOptions store;
  std::string id;  // of the container to be; empty: a new one
  bool detach = false;
  bool remove = false;
  bool interactive = false;
  bool terminal = false;
  bool read_only = false;
  bool init = false;
  std::string name;
  std::optional<std::string> user;
  std::optional<std::string> workdir;
  std::optional<std::string> hostname;
  std::optional<std::string> entrypoint;
  std::vector<std::string> env;
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  std::vector<std::string> security_options;
  std::optional<std::string> memory;
  std::optional<std::string> memory_swap;
  std::optional<std::string> cpus;
  std::optional<std::string> pids_limit;
  std::string network = "none";
  std::string pull = "missing";  // always, missing, never
  std::vector<std::string> volumes;
  std::vector<std::string> volumes_from;
  std::string volume_driver = "local";
  std::vector<std::string> tmpfs;
  std::string storage = "overlay";
  std::vector<std::string> storage_options;
  std::optional<std::string> timeout;
  std::string result_file;
  std::string restart = "no";
  std::string runtime;  // --runtime: another OCI runtime; empty: Bulkhead's own
  std::string log_driver = "json-file";
  std::vector<std::string> log_options;

  // Of the program and its surroundings.
  std::vector<std::string> env_files;
  std::vector<std::string> group_add;
  std::optional<std::string> domainname;
  std::vector<std::string> labels;
  std::vector<std::string> label_files;
  std::vector<std::string> annotations;
  std::vector<std::string> expose;
  std::optional<std::string> tenant;
  std::optional<std::string> stop_signal;
  std::optional<std::string> stop_timeout;
  std::optional<std::string> health_command;
  std::optional<std::string> health_interval;
  std::optional<std::string> health_timeout;
  std::optional<std::string> health_retries;
  std::optional<std::string> health_start_period;
  std::optional<std::string> health_start_interval;
  bool no_health_check = false;
  std::string container_id_file;
  bool pass_signals = true;

  // Of what it may touch.
  std::optional<std::string> preset;
  bool privileged = false;
  std::vector<std::string> mounts;  // --mount
  std::vector<std::string> devices;
  std::vector<std::string> device_rules;
  std::optional<std::string> gpus;
  std::vector<std::string> sysctls;
  std::optional<std::string> shm_size;
  std::optional<std::string> user_namespace;
  std::optional<std::string> pid_namespace;
  std::optional<std::string> ipc_namespace;
  std::optional<std::string> uts_namespace;
  std::optional<std::string> cgroup_namespace;
  std::optional<std::string> cgroup_parent;
  std::optional<std::string> time_offset;

  // Of what it may take.
  std::optional<std::string> memory_reservation;
  std::optional<std::string> memory_swappiness;
  bool oom_kill_disable = false;
  std::optional<std::string> oom_score_adj;
  std::optional<std::string> cpu_shares;
  std::optional<std::string> cpu_period;
  std::optional<std::string> cpu_quota;
  std::optional<std::string> cpu_rt_period;
  std::optional<std::string> cpu_rt_runtime;
  std::optional<std::string> cpuset_cpus;
  std::optional<std::string> cpuset_mems;
  std::optional<std::string> blkio_weight;
  std::vector<std::string> blkio_weight_device;
  std::vector<std::string> device_read_bps;
  std::vector<std::string> device_write_bps;
  std::vector<std::string> device_read_iops;
  std::vector<std::string> device_write_iops;
  std::vector<std::string> ulimits;
  std::optional<std::string> output_limit;

  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> words;  // the command line, for `generate systemd`
};

}  // namespace bulkhead::engine
