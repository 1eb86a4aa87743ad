// The unpacker's workers under Bulkhead's own layers.
#pragma once

#include "isolation/host_facts.h"
#include "storage/unpack/confinement.h"

namespace bulkhead::cli {

// Each worker gets empty network, IPC and mount namespaces, no capability that it does not need, no
// new privileges, bounded memory, and a seccomp profile of a few dozen calls under which anything
// else is its end. The extractor's root is its working directory, on a mount without devices; the
// decompressor cannot open anything at all.
class LayeredConfinement final : public storage::Confinement {
 public:
  explicit LayeredConfinement(isolation::HostFacts host) : host_(std::move(host)) {}
  Result<void> enter(storage::WorkerKind kind) override;

 private:
  isolation::HostFacts host_;
};

}  // namespace bulkhead::cli
