#include "runtime/unsupported.h"

#include <algorithm>

namespace bulkhead::runtime {

Result<void> refuse_unsupported(const oci::Spec& spec) {
  const auto& unknown = spec.unknown_fields;
  if (std::find(unknown.begin(), unknown.end(), "/vm") != unknown.end())
    return fail(ErrorKind::kUnsupported,
                "/vm: this runtime makes processes of the host's kernel, and no virtual machines",
                "leave the field out, or use a runtime that starts virtual machines");
  return {};
}

}  // namespace bulkhead::runtime
