#include "runtime/unsupported.h"

namespace bulkhead::runtime {

Result<void> refuse_unsupported(const oci::Spec& spec) {
  if (spec.linux_.memory_policy)
    return fail(ErrorKind::kUnsupported, "/linux/memoryPolicy: memory policies are not supported",
                "leave the field out; /linux/resources/cpu/mems limits the memory nodes");
  return {};
}

}  // namespace bulkhead::runtime
