// SELinux labels in mount options.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::isolation {

// A label goes into option strings and into files of procfs: nothing that ends a quoted value or a
// line may stand in it. `field` says where it came from ("/linux/mountLabel").
Result<void> check_selinux_label(std::string_view label, std::string_view field);

// `context="LABEL"`, for the option string of mount(2), where the commas of a label's categories
// need the quotes. With fsconfig(2) the label is the value of the key "context" as it is.
std::string context_option(std::string_view label);

}  // namespace bulkhead::isolation
