// The policy carried out at a start: what it forbids is refused, and what happens is written down.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead::policy {

// kPermission with everything that the policy has against it; or its log cannot be had. `weakened`: what
// is not isolated, for the log.
Result<void> enforce(const Policy& policy, const Subject& subject,
                     std::span<const std::string> weakened);

// One line of JSON, appended by one write: time, caller, container, what was weakened or refused.
Result<void> append_to_audit_log(const std::string& path, const Subject& subject,
                                 std::span<const std::string> weakened,
                                 std::span<const std::string> violations);

}  // namespace bulkhead::policy
