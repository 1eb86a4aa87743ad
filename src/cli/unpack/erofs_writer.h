// mkfs.erofs under Bulkhead's own layers.
#pragma once

#include "isolation/host_facts.h"
#include "storage/unpack/erofs_images.h"

namespace bulkhead::cli {

// A root of its own with the host's program directories and the layer, all read-only, and the output
// directory; no network, no IPC, no new privileges, bounded memory, and a seccomp profile of the calls
// that reading a tree and writing a file take. CAP_DAC_READ_SEARCH reads files of every owner and
// mode. CAP_SYS_ADMIN reads trusted.* attributes (opaque marks): of what else it would allow, the
// profile has no system call.
class LayeredErofsWriter final : public storage::ErofsWriterConfinement {
 public:
  explicit LayeredErofsWriter(isolation::HostFacts host) : host_(std::move(host)) {}
  Result<void> enter(int layer, int output) override;

 private:
  isolation::HostFacts host_;
};

}  // namespace bulkhead::cli
