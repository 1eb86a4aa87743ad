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
  std::vector<std::string> tmpfs;
  std::string storage = "overlay";
  std::vector<std::string> storage_options;
  std::optional<std::string> timeout;
  std::string result_file;
  std::string image;
  std::vector<std::string> command;
};

}  // namespace bulkhead::engine
