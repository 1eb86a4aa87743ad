// The unpacker's workers under Bulkhead's own layers.
#pragma once

#include <set>

#include "isolation/child_context.h"
#include "isolation/host_facts.h"
#include "isolation/request.h"
#include "storage/unpack/confinement.h"

namespace bulkhead::cli {

// What tests take away, to see that the rest holds by itself.
enum class ConfinementPart { kSeparation, kCapabilities, kLandlock, kSeccomp };

// Each worker gets empty network, IPC and mount namespaces, no capability that it does not need, no
// new privileges, bounded memory, and a seccomp profile of a few dozen calls under which anything
// else is its end. The extractor's root is its working directory, on a mount without devices; the
// decompressor cannot open anything at all. Landlock says the same once more, where the kernel has it:
// it would hold if there were a way out of the root.
class LayeredConfinement final : public storage::Confinement {
 public:
  explicit LayeredConfinement(isolation::HostFacts host, std::set<ConfinementPart> without = {})
      : host_(std::move(host)), without_(std::move(without)) {}
  Result<void> enter(storage::WorkerKind kind) override;

 private:
  Result<void> enter_landlock(const isolation::Request& request, storage::WorkerKind kind,
                              isolation::ChildContext& child) const;

  isolation::HostFacts host_;
  std::set<ConfinementPart> without_;
};

}  // namespace bulkhead::cli
