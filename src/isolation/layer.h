// What a layer of isolation is. One folder per layer; a layer turns the wish (a Request, and facts
// about the host) into a plan, which is plain data; applies the plan inside the new process; and can
// ask the kernel afterwards whether it holds. A layer without the plan's consent does nothing, and
// no layer succeeds silently at something that it did not do.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "isolation/child_context.h"
#include "isolation/host_facts.h"
#include "isolation/request.h"
#include "sys/error.h"

namespace bulkhead::isolation {

// The four facts that a reader wants first. Each layer's header opens with its card.
struct Card {
  std::string_view stops;
  std::string_view does_not_stop;
  std::string_view kernel;  // interface and the version that brought it
  std::string_view order;   // before and after what, and why
};

// Whether a layer stands, as `explain`, `state` and the golden tests print it.
enum class Standing {
  kApplied,        // asked for, or a default; in force
  kNotApplicable,  // there is nothing to do, for the reason given
  kLeftOut,        // a default that this host cannot offer, for the reason given
  kOpened,         // switched off by what the user or the spec asked for
};

struct Fact {
  std::string name;
  std::string value;
  std::string why;  // may be empty
};

// A plan in words: pure function of the plan.
struct Explanation {
  Standing standing = Standing::kApplied;
  std::string reason;  // why it stands so; required unless kApplied
  std::vector<Fact> facts;
};

template <class... Layers>
using LayerList = std::tuple<Layers*...>;

// describe: no side effects; may read host facts only.
// apply:    in the child; no allocation, no formatting, no locks, errno only through SysError.
// verify:   reads the kernel, not the plan's own bookkeeping.
template <class L>
concept Layer = requires(const Request& request, const HostFacts& host,
                         const typename L::Plan& plan, ChildContext& child) {
  { L::kName } -> std::convertible_to<std::string_view>;
  { L::kCard } -> std::convertible_to<const Card&>;
  typename L::After;  // LayerList of layers that must come first
  { L::describe(request, host) } -> std::same_as<Result<typename L::Plan>>;
  { L::explain(plan) } -> std::same_as<Explanation>;
  { L::apply(plan, child) } noexcept -> std::same_as<SysResult<void>>;
  { L::verify(plan, child) } noexcept -> std::same_as<SysResult<void>>;
};

// verify's answer when the kernel shows something else than the plan asked for. `what` is static.
inline std::unexpected<SysError> not_held(const char* what,
                                          const char* subject = nullptr) noexcept {
  return sys_fail_with(EBADE, what, subject);
}

}  // namespace bulkhead::isolation
