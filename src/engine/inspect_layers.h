// The section of `inspect` that is Bulkhead's own: what was asked of the layers, and what the kernel says
// of the first process now.
#pragma once

#include "json/writer.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// `pid`: of the first process; 0 when it does not run.
void write_layers(json::Writer& writer, const oci::Spec& spec, int pid);

}  // namespace bulkhead::engine
