#include "runtime/unsupported.h"

namespace bulkhead::runtime {

Result<void> refuse_unsupported(const oci::Spec& spec) {
  if (spec.linux_.intel_rdt)
    return fail(ErrorKind::kUnsupported, "/linux/intelRdt: resctrl groups are not supported",
                "leave the field out, and put the container's processes into a resctrl group of "
                "yours by a createRuntime hook");
  if (spec.linux_.memory_policy)
    return fail(ErrorKind::kUnsupported, "/linux/memoryPolicy: memory policies are not supported",
                "leave the field out; /linux/resources/cpu/mems limits the memory nodes");
  return {};
}

}  // namespace bulkhead::runtime
