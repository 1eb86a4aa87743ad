// A launch as plain data: one plan per layer of a sequence.
#pragma once

#include <bitset>
#include <functional>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "isolation/sequence.h"

namespace bulkhead::launch {

template <class Sequence>
class Plan {
 public:
  using Layers = isolation::LayersOf<Sequence>;
  static constexpr std::size_t kCount = std::tuple_size_v<Layers>;

  // Asks every layer for its plan; the first refusal is the answer, with the layer's name before it.
  static Result<Plan> describe(const isolation::Request& request,
                               const isolation::HostFacts& host) {
    Plan plan;
    std::optional<Error> refusal;
    plan.visit_slots([&]<class L>(Slot<L>& slot, std::size_t) {
      if (refusal) return;
      auto described = L::describe(request, host);
      if (!described)
        refusal = std::move(described).error().within(L::kName);
      else
        slot.plan.emplace(*std::move(described));
    });
    if (refusal) return std::unexpected(*std::move(refusal));
    return plan;
  }

  template <class L>
  const typename L::Plan& get() const {
    return *std::get<Slot<L>>(slots_).plan;
  }

  // Takes a layer out: it will be neither applied nor verified. Only for showing what the layer
  // stops (tests, proof); nothing on the command line of a production binary leads here.
  [[nodiscard]] bool remove(std::string_view name) {
    bool found = false;
    visit_slots([&]<class L>(Slot<L>&, std::size_t index) {
      if (name == L::kName) found = removed_[index] = true;
    });
    return found;
  }
  template <class L>
  bool has() const noexcept {
    return !removed_[index_of<L>()];
  }

  // visitor.template operator()<Layer>(plan) for each layer in order.
  template <class Visitor>
  void for_each(Visitor&& visitor) const {
    [&]<class... Ls>(std::tuple<Ls*...>*) {
      (visitor.template operator()<Ls>(get<Ls>()), ...);
    }(static_cast<Layers*>(nullptr));
  }

 private:
  template <class L>
  struct Slot {
    std::optional<typename L::Plan> plan;
  };
  template <class List>
  struct SlotsOf;
  template <class... Ls>
  struct SlotsOf<std::tuple<Ls*...>> {
    using Type = std::tuple<Slot<Ls>...>;
  };

  template <class L>
  static consteval std::size_t index_of() {
    return []<class... Ls>(std::tuple<Ls*...>*) {
      std::size_t index = 0;
      (void)((std::is_same_v<L, Ls> || (++index, false)) || ...);
      return index;
    }(static_cast<Layers*>(nullptr));
  }

  template <class Visitor>
  void visit_slots(Visitor&& visitor) {
    [&]<class... Ls>(std::tuple<Ls*...>*) {
      (visitor.template operator()<Ls>(std::get<Slot<Ls>>(slots_), index_of<Ls>()), ...);
    }(static_cast<Layers*>(nullptr));
  }

  typename SlotsOf<Layers>::Type slots_;
  std::bitset<kCount> removed_;
};

using ContainerPlan = Plan<isolation::ContainerSequence>;
using ExecPlan = Plan<isolation::ExecSequence>;

}  // namespace bulkhead::launch
