// The flags that say which namespaces are the container's own. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/options.h"

namespace bulkhead::engine {

enum class NamespaceSource {
  kOwn,
  kHost,
  kContainer,  // another container's
};

struct NamespaceChoice {
  NamespaceSource source = NamespaceSource::kOwn;
  std::string container;  // kContainer: its name or id
  bool own() const { return source == NamespaceSource::kOwn; }
  bool host() const { return source == NamespaceSource::kHost; }
};

struct Sharing {
  NamespaceChoice user;
  NamespaceChoice pid;
  NamespaceChoice ipc;
  NamespaceChoice uts;
  NamespaceChoice cgroup;
  bool user_said = false;      // --userns was given
  bool ipc_shareable = false;  // others may join it
  bool shm = true;             // --ipc none: no /dev/shm
  // Seconds that the container's monotonic and boot clocks begin at; nothing: the host's clocks.
  std::optional<std::int64_t> clocks_begin = 0;
  std::string cgroup_parent;  // absolute, within each hierarchy; empty: /bulkhead
  // The container of which namespaces are joined; empty: of none.
  const std::string& joined() const;
};

Result<Sharing> read_sharing(const RunOptions& options);

// --sysctl NAME=VALUE, of the namespaces that are the container's own.
Result<std::map<std::string, std::string>> read_sysctls(const std::vector<std::string>& texts);

}  // namespace bulkhead::engine
