#include "runtime/warnings.h"

#include "base/text.h"

namespace bulkhead::runtime {
namespace {

// Named one by one rather than by every layer's explain(): this is on the start path, and words are
// only made where there is something to say.
template <class Plan>
void add_common(const Plan& plan, std::vector<std::string>& warnings) {
  for (const std::string& text : plan.template get<isolation::Capabilities>().warnings)
    warnings.push_back("capabilities: " + text);
  for (const std::string& name : plan.template get<isolation::Seccomp>().unknown_names)
    warnings.push_back("seccomp: the system call " + quoted(name) +
                       " is not known to this build: its rule is skipped");
  const auto& landlock = plan.template get<isolation::Landlock>();
  if (landlock.standing == isolation::Standing::kLeftOut)
    warnings.push_back("landlock is left out: " + landlock.reason);
  const auto& label = plan.template get<isolation::LsmLabel>();
  if (label.standing == isolation::Standing::kLeftOut)
    warnings.push_back("the LSM profile is left out: " + label.reason);
  if (!label.warning.empty()) warnings.push_back(label.warning);
}

}  // namespace

std::vector<std::string> warnings_of(const launch::ContainerPlan& plan) {
  std::vector<std::string> warnings;
  add_common(plan, warnings);
  for (const isolation::Fact& limit : plan.get<isolation::CgroupLimits>().left_out)
    warnings.push_back("the default limit " + limit.name + "=" + limit.value +
                       " is left out: " + limit.why);
  return warnings;
}

std::vector<std::string> warnings_of(const launch::ExecPlan& plan) {
  std::vector<std::string> warnings;
  add_common(plan, warnings);
  return warnings;
}

}  // namespace bulkhead::runtime
