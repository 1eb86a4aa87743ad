#include "runtime/checkpointable.h"

#include <algorithm>

#include "base/text.h"
#include "isolation/landlock/landlock.h"
#include "isolation/namespace.h"

namespace bulkhead::runtime {
namespace {

using oci::NamespaceType;

std::unexpected<Error> refuse(std::string_view field, std::string_view why, std::string_view hint) {
  return fail(
      ErrorKind::kUnsupported,
      std::string(field) + ": a container with it cannot be checkpointed: " + std::string(why),
      std::string(hint));
}

const oci::Namespace* namespace_of(const oci::Spec& spec, NamespaceType type) {
  const auto& list = spec.linux_.namespaces;
  const auto found =
      std::ranges::find_if(list, [&](const oci::Namespace& entry) { return entry.type == type; });
  return found == list.end() ? nullptr : &*found;
}

Result<void> refuse_namespaces(const oci::Spec& spec) {
  for (const NamespaceType type : {NamespaceType::kPid, NamespaceType::kMount})
    if (namespace_of(spec, type) == nullptr)
      return refuse("/linux/namespaces",
                    "it has no " + std::string(isolation::namespace_name(type)) +
                        " namespace of its own, and the host's cannot be brought back",
                    "run it with a namespace of its own");
  // Its root is nobody on the host, and the files hold all of its memory: for the host's root alone.
  if (namespace_of(spec, NamespaceType::kUser) != nullptr)
    return refuse(
        "/linux/namespaces",
        "it has a user namespace, whose root CRIU would let read the checkpoint, which is "
        "closed to everybody but the host's root",
        "run it without a user namespace");
  for (const oci::Namespace& entry : spec.linux_.namespaces)
    if (!entry.path.empty() && entry.type != NamespaceType::kNetwork)
      return refuse("/linux/namespaces",
                    "it has joined a " + std::string(isolation::namespace_name(entry.type)) +
                        " namespace by path, and only a network namespace can be joined again",
                    "run it with a namespace of its own");
  return {};
}

bool asks_an_agent(const oci::Spec& spec) {
  constexpr std::string_view kAsk = "SCMP_ACT_NOTIFY";
  return spec.linux_.seccomp &&
         (spec.linux_.seccomp->default_action == kAsk ||
          std::ranges::any_of(spec.linux_.seccomp->syscalls,
                              [&](const oci::SeccompRule& rule) { return rule.action == kAsk; }));
}

}  // namespace

Result<void> refuse_uncheckpointable(const oci::Spec& spec) {
  TRY(refuse_namespaces(spec));
  if (spec.annotations.contains(std::string(isolation::Landlock::kAnnotation)))
    return refuse("/annotations", "CRIU does not know Landlock, and would restore it without",
                  "run it without the Landlock rules");
  if (asks_an_agent(spec))
    return refuse("/linux/seccomp/listenerPath",
                  "the agent that answers its system calls cannot be connected again",
                  "use a profile without notifications");
  if (!spec.linux_.net_devices.empty())
    return refuse("/linux/netDevices", "devices that were moved in cannot be made anew",
                  "give it a network namespace that was made before, by its path");
  if (spec.linux_.intel_rdt)
    return refuse("/linux/intelRdt", "its resctrl group is not restored", "leave the field out");
  if (spec.linux_.memory_policy)
    return refuse("/linux/memoryPolicy", "CRIU does not keep it", "use cpuset mems instead");
  if (spec.process && spec.process->io_priority)
    return refuse("/process/ioPriority", "CRIU does not keep it", "leave the field out");
  if (spec.process && spec.process->scheduler &&
      spec.process->scheduler->policy == "SCHED_DEADLINE")
    return refuse("/process/scheduler", "CRIU does not keep deadlines", "use another policy");
  return {};
}

Result<void> refuse_uncheckpointable_process(std::string_view status) {
  constexpr std::string_view kAmbient = "CapAmb:";
  for (const std::string_view line : split(status, '\n'))
    if (line.starts_with(kAmbient) &&
        trim(line.substr(kAmbient.size())).find_first_not_of('0') != std::string_view::npos)
      return refuse("/process/capabilities/ambient", "CRIU does not keep ambient capabilities",
                    "run it without, as root or with file capabilities");
  return {};
}

}  // namespace bulkhead::runtime
