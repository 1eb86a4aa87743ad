// Which extended attributes go with a file that is copied between a container and its host.
#pragma once

#include <string_view>

namespace bulkhead::storage {

// user.* and file capabilities. Not user.overlay.*, which the overlay of a container may read, and no
// label, which belongs to the system that a file lies on.
bool is_attribute_copied(std::string_view name);

}  // namespace bulkhead::storage
