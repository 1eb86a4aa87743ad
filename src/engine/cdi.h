// The Container Device Interface: files in which a device's vendor says what a container needs to use
// it (device nodes, mounts, variables, hooks). JSON only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// "vendor.com/class=device"
bool is_cdi_name(std::string_view text);

struct CdiNode {
  std::string path;       // in the container
  std::string host_path;  // empty: the same
  std::string permissions = "rwm";
  std::optional<std::uint32_t> file_mode;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
  // What the host's own node says.
  std::string type;
  std::optional<std::int64_t> major;
  std::optional<std::int64_t> minor;
};

struct CdiMount {
  std::string host_path;
  std::string container_path;
  std::string type;
  std::vector<std::string> options;
};

struct CdiHook {
  std::string hook_name;  // "createContainer"
  std::string path;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<std::int32_t> timeout;
};

struct CdiEdits {
  std::vector<std::string> env;
  std::vector<CdiNode> device_nodes;
  std::vector<CdiMount> mounts;
  std::vector<CdiHook> hooks;
  std::vector<std::uint32_t> additional_gids;

  void add(const CdiEdits& other);
};

struct CdiDevice {
  std::string name;
  CdiEdits edits;
};

struct CdiSpec {
  std::string version;
  std::string kind;  // "vendor.com/class"
  std::vector<CdiDevice> devices;
  CdiEdits edits;  // for whoever uses one of the devices
};

// Strict: what it does not know would be left out of the container without a word.
Result<CdiSpec> parse_cdi_spec(std::string_view text);

// Where they lie; a device in a later directory takes the place of one in an earlier.
inline constexpr const char* kCdiDirectories[] = {"/etc/cdi", "/var/run/cdi"};

// What all the named devices need. Files must be root's, and no one else's to write: their hooks run
// on the host.
Result<CdiEdits> find_cdi_devices(std::span<const std::string> names,
                                  std::span<const char* const> directories = kCdiDirectories);

}  // namespace bulkhead::engine
