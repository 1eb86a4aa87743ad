// The options of the commands on volumes, for the commands and for the completion.
#pragma once

#include <string>
#include <vector>

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/options.h"

namespace bulkhead::cli::engine {

struct VolumeCreateOptions {
  std::string driver = "local";
  std::string name;
  std::vector<std::string> labels;
  std::vector<std::string> driver_options;
};
std::vector<Option> volume_create_options(VolumeCreateOptions& options);

struct VolumeListOptions {
  bool quiet = false;
  std::string format;
  std::vector<std::string> filters;
};
std::vector<Option> volume_list_options(VolumeListOptions& options);

struct VolumeRemoveOptions {
  bool force = false;
};
std::vector<Option> volume_remove_options(VolumeRemoveOptions& options);

struct VolumePruneOptions {
  bool all = false;
  bool force = false;
  std::vector<std::string> filters;
};
std::vector<Option> volume_prune_options(VolumePruneOptions& options);

struct VolumeExportOptions {
  std::string output;
};
std::vector<Option> volume_export_options(VolumeExportOptions& options);

// `volume export` and `volume import`.
Result<int> export_volume(const Invocation& invocation);
Result<int> import_volume(const Invocation& invocation);

// The question, and whether the answer begins with a y.
bool is_confirmed(std::string_view question);

}  // namespace bulkhead::cli::engine
