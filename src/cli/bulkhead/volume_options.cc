#include "cli/bulkhead/volume_options.h"

namespace bulkhead::cli::engine {

std::vector<Option> volume_create_options(VolumeCreateOptions& options) {
  return {
      {"driver", 'd', &options.driver, "DRIVER", "local (default)"},
      {"label", 'l', &options.labels, "NAME=VALUE", "a label"},
      {"name", 0, &options.name, "NAME", "what to call it, like the argument"},
      {"opt", 'o', &options.driver_options, "NAME=VALUE",
       "size=10g: a limit that the kernel enforces; type=none, o=bind and device=/PATH: a "
       "directory "
       "of the host"},
  };
}

std::vector<Option> volume_list_options(VolumeListOptions& options) {
  return {
      {"filter", 'f', &options.filters, "KEY=VALUE",
       "dangling=true|false, driver=local, label=KEY[=VALUE], name=PART"},
      {"format", 0, &options.format, "FORMAT", "table (default), json, or a template"},
      {"quiet", 'q', &options.quiet, "", "names alone"},
  };
}

std::vector<Option> volume_remove_options(VolumeRemoveOptions& options) {
  return {{"force", 'f', &options.force, "", "no error for volumes that are not there"}};
}

std::vector<Option> volume_prune_options(VolumePruneOptions& options) {
  return {
      {"all", 'a', &options.all, "", "also those that have names"},
      {"filter", 0, &options.filters, "KEY=VALUE",
       "label=KEY[=VALUE], label!=KEY[=VALUE], all=BOOL"},
      {"force", 'f', &options.force, "", "do not ask first"},
  };
}

std::vector<Option> volume_export_options(VolumeExportOptions& options) {
  return {{"output", 'o', &options.output, "FILE", "to this file instead of the standard output",
           ValueKind::kFile}};
}

}  // namespace bulkhead::cli::engine
