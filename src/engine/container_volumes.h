// The volumes of a container: which they are, from what was asked for to mounts that are handed over.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/options.h"
#include "engine/wish.h"
#include "isolation/request.h"
#include "oci/image.h"
#include "storage/store.h"

namespace bulkhead::engine {

// Adds to the wish what --volumes-from names, and the image's own volumes: those on places that nothing
// else is mounted on.
Result<void> add_inherited_volumes(const StoreOptions& options, const storage::Store& store,
                                   const oci::ImageConfig& image, Wish& wish);

// Where the content of each lies, or would lie, as far as can be told without making anything.
Result<void> find_volumes(const storage::Store& store, Wish& wish);

// For a new container, whose directory is there: gives the anonymous ones names, makes what is missing,
// writes down that the container uses them, and fills what is empty from the image. `layers`:
// storage::lower_paths(). Returns what the user should know.
Result<std::vector<std::string>> attach_volumes(const StoreOptions& options,
                                                const storage::Store& store, const std::string& id,
                                                const std::vector<std::string>& layers, Wish& wish);

// For its record.
std::vector<MountRecord> mounts_of(const Wish& wish);

// "mount" or "unmount" of each volume, for the journal of events.
void record_mounts(const StoreOptions& options, const std::string& id,
                   std::span<const MountRecord> mounts, const std::string& action);

// For a launch, in place of the sources that the specification names: what is in a volume is opened
// beneath it, and no path of the host leads there.
Result<void> add_volume_mounts(const storage::Store& store, std::span<const MountRecord> mounts,
                               std::vector<isolation::HandedMount>& handed);

// At the container's end, before its directory goes: its anonymous volumes, unless others use them, too.
Result<void> remove_anonymous_volumes(int store, const std::string& id);

}  // namespace bulkhead::engine
