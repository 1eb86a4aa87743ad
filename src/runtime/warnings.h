// What the runtime specification wants warned about, and defaults that the host cannot offer.
#pragma once

#include <string>
#include <vector>

#include "launch/plan.h"

namespace bulkhead::runtime {

std::vector<std::string> warnings_of(const launch::ContainerPlan& plan);
std::vector<std::string> warnings_of(const launch::ExecPlan& plan);

}  // namespace bulkhead::runtime
