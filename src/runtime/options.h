// What the commands of the runtime are asked for, as the command line or the engine fills it in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "isolation/request.h"

namespace bulkhead::runtime {

// Where containers are remembered and who makes their cgroups: the same for every command.
struct CommonOptions {
  std::string state_root;  // absolute; empty: default_state_root() (record.h)
  isolation::CgroupDriver cgroup_driver = isolation::CgroupDriver::kCgroupfs;
  // --rootless=true or false; nothing: judged by the host facts.
  std::optional<bool> rootless;
  bool debug = false;
  // Layers that new containers do without, by name, to show what each of them stops. No flag of the
  // installed binary leads here.
  std::vector<std::string> removed_layers;
};

struct CreateOptions {
  CommonOptions common;
  std::string id;
  std::string bundle;          // as given; empty: the working directory
  std::string config;          // --config; empty: config.json in the bundle
  std::string console_socket;  // the terminal's master goes there
  std::string pid_file;
  std::string pidfd_socket;  // a pidfd of the container's init goes there
  isolation::RootSwitchMethod root_switch = isolation::RootSwitchMethod::kPivotRoot;
  bool new_session_keyring = true;
  // Descriptors from 3 on that the workload inherits. Those of socket activation (LISTEN_FDS) come
  // first and are counted apart: activation.h adds both up.
  std::uint32_t preserve_fds = 0;
};

struct RunOptions {
  CreateOptions create;
  bool detach = false;
  bool keep = false;  // do not delete the container when it ends
};

struct ExecOptions {
  CommonOptions common;
  std::string id;
  // Either a process.json, or arguments with the changes below to the container's own process.
  std::string process_file;  // empty: `args`
  std::vector<std::string> args;
  std::string user;  // "UID[:GID]"; empty: the container's own
  std::vector<std::uint32_t> additional_gids;
  std::string cwd;
  std::vector<std::string> env;           // "NAME=value", added to the container's own
  std::vector<std::string> capabilities;  // "CAP_CHOWN" or "CHOWN", added to the container's own
  bool tty = false;
  bool detach = false;
  std::string pid_file;
  std::string console_socket;
  std::string pidfd_socket;
  std::string apparmor_profile;
  std::string process_label;
  std::optional<bool> no_new_privileges;  // nothing: as the container's own process has it
  std::uint32_t preserve_fds = 0;
  // Sub-groups beneath the container's own: isolation::parse_sub_groups().
  std::vector<std::string> cgroups;
  bool ignore_paused = false;
};

}  // namespace bulkhead::runtime
