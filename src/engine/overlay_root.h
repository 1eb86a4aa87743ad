// A container's root file system, for the runtime: the overlay of its image's layers.
#pragma once

#include <string>
#include <vector>

#include "engine/wish.h"
#include "runtime/create.h"
#include "storage/snapshot.h"

namespace bulkhead::engine {

class OverlayRoot final : public runtime::RootMaker {
 public:
  explicit OverlayRoot(const storage::Snapshot& snapshot) : snapshot_(snapshot) {}
  Result<Fd> make_root(int user_namespace) override;
  void root_handed_over() override { layers_.clear(); }

 private:
  const storage::Snapshot& snapshot_;
  std::vector<Fd> layers_;
};

// What went wrong with a volume gets the words of the flag that asked for it.
Error explain_launch_failure(Error error, const std::vector<Volume>& volumes);
// What the layers say of a field of the specification, with the flag that has put it there.
Error in_words_of_flags(Error error);

// The file of --cidfile, which must be new: Docker's users take one that is there for a container
// that still runs.
Result<void> write_id_file(const std::string& path, const std::string& id);

}  // namespace bulkhead::engine
