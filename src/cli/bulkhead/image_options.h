// The options of the commands on images, for the commands and for the completion.
#pragma once

#include <string>
#include <vector>

#include "cli/bulkhead/options.h"

namespace bulkhead::cli::engine {

struct ImagesOptions {
  bool all = false;
  bool digests = false;
  bool no_trunc = false;
  bool quiet = false;
  std::string format;
  std::vector<std::string> filters;
};
std::vector<Option> images_options(ImagesOptions& options);

struct RmiOptions {
  bool force = false;
};
std::vector<Option> rmi_options(RmiOptions& options);

struct HistoryOptions {
  bool no_trunc = false;
  bool quiet = false;
  bool human = true;
  std::string format;
};
std::vector<Option> history_options(HistoryOptions& options);

struct InspectOptions {
  std::string format;
};
std::vector<Option> inspect_options(InspectOptions& options);

struct ImagePruneOptions {
  bool all = false;
  bool force = false;
  std::vector<std::string> filters;
};
std::vector<Option> image_prune_options(ImagePruneOptions& options);

struct SaveOptions {
  std::string output;
  std::string format = "docker-archive";
};
std::vector<Option> save_options(SaveOptions& options);

struct LoadOptions {
  std::string input;
  bool quiet = false;
};
std::vector<Option> load_options(LoadOptions& options);

struct ImportOptions {
  std::vector<std::string> changes;
  std::string message;
  std::string platform;
};
std::vector<Option> import_options(ImportOptions& options);

}  // namespace bulkhead::cli::engine
