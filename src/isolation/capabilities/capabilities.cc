#include "isolation/capabilities/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "isolation/landlock/landlock.h"
#include "isolation/namespace.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr std::uint32_t low(std::uint64_t set) { return static_cast<std::uint32_t>(set); }
constexpr std::uint32_t high(std::uint64_t set) { return static_cast<std::uint32_t>(set >> 32); }

class Planner {
 public:
  Planner(Capabilities::Plan& plan) : plan_(plan) {}

  std::uint64_t read(const std::vector<std::string>& names, std::string_view set) {
    std::uint64_t mask = 0;
    for (const std::string& name : names) {
      const auto number = capability_number(name);
      if (number && *number <= plan_.last) {
        mask |= capability_bit(*number);
      } else {
        warn(quoted(name) + " in /process/capabilities/" + std::string(set),
             number ? "this kernel does not have it" : "no capability of this name is known");
      }
    }
    return mask;
  }

  // `mask` without what is not in `allowed`, with a warning for each that is taken out.
  std::uint64_t within(std::uint64_t mask, std::uint64_t allowed, std::string_view set,
                       std::string_view why) {
    for (int number = 0; number <= plan_.last; ++number)
      if ((mask & ~allowed & capability_bit(number)) != 0)
        warn(capability_name(number) + " in /process/capabilities/" + std::string(set), why);
    return mask & allowed;
  }

 private:
  void warn(const std::string& what, std::string_view why) {
    plan_.warnings.push_back(what + " is not granted: " + std::string(why));
  }
  Capabilities::Plan& plan_;
};

SysResult<void> set_masks(const CapabilityMasks& masks) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> data{{
      {low(masks.effective), low(masks.permitted), low(masks.inheritable)},
      {high(masks.effective), high(masks.permitted), high(masks.inheritable)},
  }};
  if (::syscall(SYS_capset, &header, data.data()) != 0) return sys_fail("capset");
  return {};
}

SysResult<CapabilityMasks> get_masks() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return sys_fail("capget");
  const auto join = [](std::uint32_t first, std::uint32_t second) {
    return first | static_cast<std::uint64_t>(second) << 32;
  };
  CapabilityMasks masks;
  masks.effective = join(data[0].effective, data[1].effective);
  masks.permitted = join(data[0].permitted, data[1].permitted);
  masks.inheritable = join(data[0].inheritable, data[1].inheritable);
  return masks;
}

// "CapBnd:\t00000000a80425fb" in /proc/PID/status.
std::optional<std::uint64_t> mask_in(std::string_view status, std::string_view name) noexcept {
  const std::size_t at = status.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  status.remove_prefix(at + name.size());
  return parse_number<std::uint64_t>(next_field(status, '\n'), 16);
}

SysResult<void> drop_from_bounding_set(const Capabilities::Plan& plan) noexcept {
  for (int number = 0; number <= plan.last; ++number) {
    if ((plan.dropped & capability_bit(number)) == 0) continue;
    if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
      return sys_fail("prctl(PR_CAPBSET_DROP)", capability_text(number));
  }
  return {};
}

}  // namespace

Result<Capabilities::Plan> Capabilities::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  plan.last = host.last_capability;
  if (!request.spec.process) return plan;
  const oci::Process& process = *request.spec.process;
  plan.root = process.user.uid.value() == 0;
  // A process that is new in a user namespace holds everything there.
  const bool own_users = lists_namespace(request, oci::NamespaceType::kUser);
  const std::uint64_t all = all_capabilities(plan.last);
  const std::uint64_t held = own_users ? all : host.effective_capabilities;
  const std::uint64_t held_bounding = own_users ? all : host.bounding_capabilities;

  if (process.capabilities) {
    const oci::CapabilitySets& wish = *process.capabilities;
    constexpr std::string_view kNotHeld = "the runtime does not hold it itself";
    Planner planner(plan);
    CapabilityMasks& wanted = plan.wanted;
    wanted.bounding = planner.within(planner.read(wish.bounding, "bounding"), held_bounding,
                                     "bounding", kNotHeld);
    wanted.permitted =
        planner.within(planner.read(wish.permitted, "permitted"), held, "permitted", kNotHeld);
    wanted.effective = planner.within(planner.read(wish.effective, "effective"), wanted.permitted,
                                      "effective", "it is not in the permitted set");
    wanted.inheritable = planner.within(planner.read(wish.inheritable, "inheritable"),
                                        held & held_bounding, "inheritable", kNotHeld);
    wanted.ambient =
        planner.within(planner.read(wish.ambient, "ambient"), wanted.permitted & wanted.inheritable,
                       "ambient", "it is not in both the permitted and the inheritable set");
  }
  plan.dropped = held_bounding & ~plan.wanted.bounding;
  const bool filters = request.spec.linux_.seccomp ||
                       request.spec.annotations.contains(std::string(Landlock::kAnnotation));
  if (filters && !process.no_new_privileges) plan.until_exec |= held & capability_bit(kCapSysAdmin);
  // The resource limits come last, and hard ones are raised with the host's capability alone.
  if (!process.rlimits.empty() && !own_users)
    plan.until_exec |= held & capability_bit(kCapSysResource);
  return plan;
}

CapabilityMasks Capabilities::after_exec(const Plan& plan) {
  // capabilities(7), "Transformation of capabilities during execve", for a file without any: root
  // is treated as if the file had them all.
  CapabilityMasks after = plan.wanted;
  if (plan.root) {
    after.permitted = plan.wanted.inheritable | plan.wanted.bounding;
    after.effective = after.permitted;
  } else {
    after.permitted = plan.wanted.ambient;
    after.effective = plan.wanted.ambient;
  }
  return after;
}

Explanation Capabilities::explain(const Plan& plan) {
  Explanation explanation;
  const auto words = [&](std::uint64_t set) { return capability_set_in_words(set, plan.last); };
  const CapabilityMasks after = after_exec(plan);
  explanation.facts = {
      {"bounding", words(plan.wanted.bounding), "nothing executed inside can have more"},
      {"permitted", words(plan.wanted.permitted), ""},
      {"effective", words(plan.wanted.effective), ""},
      {"inheritable", words(plan.wanted.inheritable), ""},
      {"ambient", words(plan.wanted.ambient), ""},
      {"the program holds", words(after.effective),
       plan.root ? "execve gives root the bounding set"
                 : "execve leaves other users the ambient set"},
  };
  for (const std::string& warning : plan.warnings)
    explanation.facts.push_back({"warning", warning, ""});
  return explanation;
}

SysResult<void> Capabilities::apply(const Plan& plan, ChildContext&) noexcept {
  TRY_ASSIGN(CapabilityMasks now, get_masks());
  // The change of user id has cleared the effective set. Inheritable bits are raised while the
  // bounding set still allows it.
  const CapabilityMasks& wanted = plan.wanted;
  if (now.effective != now.permitted ||
      (now.inheritable & wanted.inheritable) != wanted.inheritable) {
    now.effective = now.permitted;
    now.inheritable |= wanted.inheritable;
    TRY(set_masks(now));
  }
  TRY(drop_from_bounding_set(plan));
  CapabilityMasks final = wanted;
  final.permitted |= plan.until_exec;
  final.effective |= plan.until_exec;
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return sys_fail("prctl(PR_CAP_AMBIENT_CLEAR_ALL)");
  TRY(set_masks(final));
  for (int number = 0; number <= plan.last; ++number)
    if ((wanted.ambient & capability_bit(number)) != 0 &&
        ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0)
      return sys_fail("prctl(PR_CAP_AMBIENT_RAISE)", capability_text(number));
  return {};
}

SysResult<void> Capabilities::verify(const Plan& plan, ChildContext& child) noexcept {
  std::array<char, 8192> buffer;
  TRY_ASSIGN(const std::string_view status, read_small_file_at(child.proc, "self/status", buffer));
  const CapabilityMasks& wanted = plan.wanted;
  if (mask_in(status, "\nCapBnd:\t") != wanted.bounding)
    return not_held("the set is another", "bounding");
  if (mask_in(status, "\nCapPrm:\t") != (wanted.permitted | plan.until_exec))
    return not_held("the set is another", "permitted");
  if (mask_in(status, "\nCapEff:\t") != (wanted.effective | plan.until_exec))
    return not_held("the set is another", "effective");
  if (mask_in(status, "\nCapInh:\t") != wanted.inheritable)
    return not_held("the set is another", "inheritable");
  if (mask_in(status, "\nCapAmb:\t") != wanted.ambient)
    return not_held("the set is another", "ambient");
  return {};
}

}  // namespace bulkhead::isolation
