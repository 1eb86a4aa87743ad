// One of Bulkhead's own layers around a process of its own, as around a container.
#pragma once

#include "base/result.h"
#include "isolation/child_context.h"
#include "isolation/host_facts.h"
#include "isolation/request.h"

namespace bulkhead::isolation {

template <class Layer>
Result<void> enter_layer(const Request& request, const HostFacts& host, ChildContext& child) {
  auto plan = Layer::describe(request, host);
  if (!plan) return std::unexpected(std::move(plan).error().within(Layer::kName));
  if (const auto applied = Layer::apply(*plan, child); !applied)
    return std::unexpected(Error(applied.error()).within(Layer::kName));
  return {};
}

// And asks the kernel about it: needs `child.proc`.
template <class Layer>
Result<void> enter_and_verify_layer(const Request& request, const HostFacts& host,
                                    ChildContext& child) {
  TRY(enter_layer<Layer>(request, host, child));
  auto plan = Layer::describe(request, host);
  if (!plan) return std::unexpected(std::move(plan).error().within(Layer::kName));
  if (const auto holds = Layer::verify(*plan, child); !holds)
    return std::unexpected(Error(holds.error()).within(Layer::kName));
  return {};
}

}  // namespace bulkhead::isolation
