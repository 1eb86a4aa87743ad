// The scope of a container that the systemd driver made, after create. With another driver these do
// nothing.
#pragma once

#include "base/result.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

// Sets the limits that systemd has properties for, until the unit ends.
Result<void> update_scope(const Record& record, const oci::Resources& resources);

// Ends the unit. systemd does not notice by itself that a group is empty which somebody else removes.
// What it does not know (any more) is fine; so is that there is no systemd any more.
Result<void> stop_scope(const Record& record);

}  // namespace bulkhead::runtime
