// The volumes of the store, as the commands on volumes see them: beside the store's own view, which
// containers use what.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "volumes/record.h"

namespace bulkhead::engine {

// Its name, which is one of its own where the wish has none.
Result<std::string> create_volume(const StoreOptions& options, volumes::Volume wanted);

struct ListedVolume {
  volumes::Volume volume;
  std::string mountpoint;  // where its content lies on the host; of one with a size its image file
  std::size_t containers = 0;
};

// "dangling=BOOL", "driver=local", "label=KEY[=VALUE]", "name=PART"; of `volume prune` "label", "label!" and
// "all". All keys must match, and of the values of one key any; of labels all.
class VolumeFilter {
 public:
  enum class Use { kList, kPrune };
  static Result<VolumeFilter> read(const std::vector<std::string>& texts, Use use);
  bool matches(const ListedVolume& volume) const;
  bool all() const { return all_; }  // of prune: not anonymous ones alone

 private:
  bool matches_labels(const volumes::Words& labels) const;
  std::vector<std::pair<std::string, std::string>> wanted_;
  bool all_ = false;
};

Result<std::vector<ListedVolume>> list_volumes(const StoreOptions& options);
Result<ListedVolume> find_volume(const StoreOptions& options, std::string_view name);
// One JSON object with Docker's field names.
std::string inspect_volume(const ListedVolume& volume);

// kState: a container uses it.
Result<void> remove_volume(const StoreOptions& options, const std::string& name);

struct PrunedVolumes {
  std::vector<std::string> names;
  std::uint64_t bytes = 0;
};
// Those that no container uses: the anonymous ones, or with `all` every one.
Result<PrunedVolumes> prune_volumes(const StoreOptions& options, bool all,
                                    const VolumeFilter& filter);

struct VolumeUse {
  ListedVolume listed;
  std::uint64_t bytes = 0;
};
Result<std::vector<VolumeUse>> measure_volumes(const StoreOptions& options);

// As a tar into a descriptor.
Result<void> export_volume(const StoreOptions& options, std::string_view name, int output);
// From a tar, also one compressed by gzip or zstd; the volume must be empty. What the user should know.
Result<std::vector<std::string>> import_volume(const StoreOptions& options, std::string_view name,
                                               int input);

}  // namespace bulkhead::engine
