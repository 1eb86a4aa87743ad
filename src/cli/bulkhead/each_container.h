// Commands that do the same to each of the containers that they are given, as Docker's do: a failure is
// told and the next one taken; the names of those that it went well with are printed.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "cli/bulkhead/command.h"
#include "engine/containers.h"

namespace bulkhead::cli::engine {

// kSomeFailed when one of them failed.
using OneContainer = std::function<Result<void>(const bulkhead::engine::ListedContainer&)>;
Result<int> for_each_container(const Invocation& invocation, std::span<const std::string> names,
                               const OneContainer& act);

// A list of containers is wanted: kUsage for none.
Result<void> want_containers(std::span<const std::string> names, std::string_view command);

}  // namespace bulkhead::cli::engine
