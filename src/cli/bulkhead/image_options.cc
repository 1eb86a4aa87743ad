#include "cli/bulkhead/image_options.h"

namespace bulkhead::cli::engine {

std::vector<Option> images_options(ImagesOptions& options) {
  return {
      {"all", 'a', &options.all, "", "all images (there are no intermediate ones to hide)"},
      {"digests", 0, &options.digests, "", "show the digests that repositories know them by"},
      {"filter", 'f', &options.filters, "KEY=VALUE", "only what matches; see below"},
      {"format", 0, &options.format, "FORMAT", "table (default), json, or a template"},
      {"no-trunc", 0, &options.no_trunc, "", "whole ids"},
      {"quiet", 'q', &options.quiet, "", "ids alone"},
  };
}

std::vector<Option> rmi_options(RmiOptions& options) {
  return {{"force", 'f', &options.force, "",
           "also names of images that containers use, and all names of one id"}};
}

std::vector<Option> history_options(HistoryOptions& options) {
  return {
      {"format", 0, &options.format, "FORMAT", "table (default), json, or a template"},
      {"human", 'H', &options.human, "", "sizes and dates for people (default true)"},
      {"no-trunc", 0, &options.no_trunc, "", "whole ids and commands"},
      {"quiet", 'q', &options.quiet, "", "ids alone"},
  };
}

std::vector<Option> inspect_options(InspectOptions& options) {
  return {{"format", 'f', &options.format, "FORMAT", "json (default), or a template"}};
}

std::vector<Option> image_prune_options(ImagePruneOptions& options) {
  return {
      {"all", 'a', &options.all, "", "also images that have names"},
      {"filter", 0, &options.filters, "KEY=VALUE", "label=, label!=, until="},
      {"force", 'f', &options.force, "", "do not ask"},
  };
}

std::vector<Option> save_options(SaveOptions& options) {
  return {
      {"output", 'o', &options.output, "FILE", "a file (or directory) instead of the output",
       ValueKind::kFile},
      {"format", 0, &options.format, "FORMAT", "docker-archive (default), oci-archive or oci-dir"},
  };
}

std::vector<Option> load_options(LoadOptions& options) {
  return {
      {"input", 'i', &options.input, "FILE", "an archive or layout instead of the input",
       ValueKind::kFile},
      {"quiet", 'q', &options.quiet, "", "no progress (it is shown on terminals only)"},
  };
}

std::vector<Option> import_options(ImportOptions& options) {
  return {
      {"change", 'c', &options.changes, "INSTRUCTION",
       "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR, as in a "
       "Dockerfile"},
      {"message", 'm', &options.message, "TEXT", "a comment for the image's history"},
      {"platform", 0, &options.platform, "OS/ARCH", "what it is for (default: this machine)"},
  };
}

}  // namespace bulkhead::cli::engine
