#include "isolation/scheduling/scheduling.h"

#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "isolation/namespace.h"

namespace bulkhead::isolation {
namespace {

// struct sched_attr of linux/sched/types.h, which cannot stand beside the C library's sched.h.
struct SchedulingAttributes {
  std::uint32_t size;
  std::uint32_t sched_policy;
  std::uint64_t sched_flags;
  std::int32_t sched_nice;
  std::uint32_t sched_priority;
  std::uint64_t sched_runtime;
  std::uint64_t sched_deadline;
  std::uint64_t sched_period;
  std::uint32_t sched_util_min;
  std::uint32_t sched_util_max;
};

// linux/ioprio.h, which not every version of the kernel's headers lets C++ include.
constexpr int kIoClassShift = 13;
constexpr std::uint32_t kIoRealTime = 1;
constexpr std::uint32_t kIoBestEffort = 2;
constexpr std::uint32_t kIoIdle = 3;
constexpr int kIoOfProcess = 1;  // IOPRIO_WHO_PROCESS

constexpr int kCapSysNice = 23;
constexpr int kThisProcess = 0;

struct Name {
  std::string_view name;
  std::uint32_t value;
};
constexpr std::array<Name, 6> kPolicies{{
    {"SCHED_OTHER", SCHED_NORMAL},
    {"SCHED_FIFO", SCHED_FIFO},
    {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},
    {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
}};
constexpr std::array<Name, 7> kFlags{{
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
}};
constexpr std::array<Name, 3> kIoClasses{{
    {"IOPRIO_CLASS_RT", kIoRealTime},
    {"IOPRIO_CLASS_BE", kIoBestEffort},
    {"IOPRIO_CLASS_IDLE", kIoIdle},
}};

template <std::size_t Size>
std::optional<std::uint32_t> value_of(const std::array<Name, Size>& table, std::string_view name) {
  for (const Name& entry : table)
    if (entry.name == name) return entry.value;
  return std::nullopt;
}

bool is_real_time(std::uint32_t policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }
bool takes_nice(std::uint32_t policy) { return policy == SCHED_NORMAL || policy == SCHED_BATCH; }

Result<Scheduling::Policy> plan_policy(const oci::Scheduler& wish) {
  const std::string where = "/process/scheduler";
  Scheduling::Policy policy;
  const auto number = value_of(kPolicies, wish.policy);
  if (!number)
    return fail(ErrorKind::kInvalid,
                where + "/policy: this kernel has no policy " + quoted(wish.policy),
                "policies are SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE and "
                "SCHED_DEADLINE");
  policy.policy = *number;
  for (const std::string& name : wish.flags) {
    const auto flag = value_of(kFlags, name);
    if (!flag)
      return fail(ErrorKind::kInvalid, where + "/flags: no flag " + quoted(name),
                  "flags are as in sched_setattr(2): SCHED_FLAG_RESET_ON_FORK, …");
    policy.flags |= *flag;
  }
  if (wish.nice && (*wish.nice < -20 || *wish.nice > 19))
    return fail(ErrorKind::kInvalid,
                where + "/nice: " + std::to_string(*wish.nice) + " is not between -20 and 19");
  if (wish.nice.value_or(0) != 0 && !takes_nice(policy.policy))
    return fail(ErrorKind::kInvalid, where + "/nice: " + wish.policy + " takes no nice value",
                "leave it out, or use SCHED_OTHER or SCHED_BATCH");
  if (wish.priority.value_or(0) != 0 && !is_real_time(policy.policy))
    return fail(ErrorKind::kInvalid, where + "/priority: " + wish.policy + " takes no priority",
                "leave it out, or use SCHED_FIFO or SCHED_RR");
  if (is_real_time(policy.policy) && (wish.priority.value_or(0) < 1 || *wish.priority > 99))
    return fail(ErrorKind::kInvalid,
                where + "/priority: " + wish.policy + " needs a priority between 1 and 99");
  const bool timed = wish.runtime.value_or(0) != 0 || wish.deadline.value_or(0) != 0 ||
                     wish.period.value_or(0) != 0;
  if (timed && policy.policy != SCHED_DEADLINE)
    return fail(
        ErrorKind::kInvalid,
        where + ": runtime, deadline and period belong to SCHED_DEADLINE, not to " + wish.policy);
  policy.nice = wish.nice.value_or(0);
  policy.priority = static_cast<std::uint32_t>(wish.priority.value_or(0));
  policy.runtime = wish.runtime.value_or(0);
  policy.deadline = wish.deadline.value_or(0);
  policy.period = wish.period.value_or(0);
  return policy;
}

Result<int> plan_io_priority(const oci::IoPriority& wish) {
  const auto number = value_of(kIoClasses, wish.class_name);
  if (!number)
    return fail(ErrorKind::kInvalid,
                "/process/ioPriority/class: no class " + quoted(wish.class_name),
                "classes are IOPRIO_CLASS_RT, IOPRIO_CLASS_BE and IOPRIO_CLASS_IDLE");
  if (wish.priority < 0 || wish.priority > 7)
    return fail(ErrorKind::kInvalid, "/process/ioPriority/priority: " +
                                         std::to_string(wish.priority) + " is not between 0 and 7");
  return static_cast<int>(*number << kIoClassShift) | wish.priority;
}

Result<cpu_set_t> plan_cpus(const std::string& text, std::string_view where) {
  if (const auto cpus = parse_cpu_list(text)) return *cpus;
  return fail(ErrorKind::kInvalid, std::string(where) + ": " + quoted(text) + " is no list of CPUs",
              "write it as in \"0-3,7\"");
}

Result<void> plan_affinity(const Request& request, Scheduling::Plan& plan) {
  const auto& wish = request.spec.process->exec_cpu_affinity;
  if (!wish) return {};
  const bool initial = wish->initial && !wish->initial->empty();
  const bool final = wish->final && !wish->final->empty();
  constexpr std::string_view kWhere = "/process/execCPUAffinity";
  if (initial) {
    TRY_ASSIGN(plan.initial_cpus, plan_cpus(*wish->initial, std::string(kWhere) + "/initial"));
    plan.facts.push_back(
        {"initial CPUs", *wish->initial, "before the container's cgroup is entered"});
  }
  if (final) {
    TRY_ASSIGN(plan.final_cpus, plan_cpus(*wish->final, std::string(kWhere) + "/final"));
    plan.facts.push_back({"final CPUs", *wish->final, ""});
  }
  plan.affinity_without_exec = !request.joining && (initial || final);
  plan.sets_initial_cpus = request.joining && initial;
  plan.sets_final_cpus = request.joining && final;
  return {};
}

SysResult<void> set_policy(pid_t process, const Scheduling::Policy& wish) noexcept {
  SchedulingAttributes attributes{};
  attributes.size = sizeof attributes;
  attributes.sched_policy = wish.policy;
  attributes.sched_flags = wish.flags;
  attributes.sched_nice = wish.nice;
  attributes.sched_priority = wish.priority;
  attributes.sched_runtime = wish.runtime;
  attributes.sched_deadline = wish.deadline;
  attributes.sched_period = wish.period;
  if (::syscall(SYS_sched_setattr, process, &attributes, 0U) == 0) return {};
  return sys_fail(errno == EPERM
                      ? "sched_setattr (real-time policies and negative nice values need "
                        "CAP_SYS_NICE and a CPU cgroup with real-time budget)"
                      : "sched_setattr");
}

SysResult<void> set_both(pid_t process, const Scheduling::Plan& plan) noexcept {
  if (plan.sets_policy) TRY(set_policy(process, plan.policy));
  if (plan.sets_io_priority &&
      ::syscall(SYS_ioprio_set, kIoOfProcess, process, plan.io_priority) != 0)
    return sys_fail("ioprio_set");
  return {};
}

SysResult<void> verify_policy(const Scheduling::Policy& wish) noexcept {
  SchedulingAttributes now{};
  if (::syscall(SYS_sched_getattr, kThisProcess, &now, static_cast<unsigned>(sizeof now), 0U) != 0)
    return sys_fail("sched_getattr");
  if (now.sched_policy != wish.policy) return not_held("the scheduling policy is another");
  if (((now.sched_flags ^ wish.flags) & SCHED_FLAG_RESET_ON_FORK) != 0)
    return not_held("the scheduling policy is inherited otherwise than asked for");
  if (takes_nice(wish.policy) && now.sched_nice != wish.nice)
    return not_held("the nice value is another");
  if (is_real_time(wish.policy) && now.sched_priority != wish.priority)
    return not_held("the real-time priority is another");
  if (wish.policy == SCHED_DEADLINE &&
      (now.sched_runtime != wish.runtime || now.sched_deadline != wish.deadline))
    return not_held("the deadline parameters are others");
  return {};
}

}  // namespace

std::optional<cpu_set_t> parse_cpu_list(std::string_view text) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (trim(text).empty()) return std::nullopt;
  for (std::string_view part : split(trim(text), ',')) {
    part = trim(part);
    const bool is_range = part.find('-') != std::string_view::npos;
    const auto first = parse_number<unsigned>(next_field(part, '-'));
    const auto last = is_range ? parse_number<unsigned>(part) : first;
    if (!first || !last || *first > *last || *last >= CPU_SETSIZE) return std::nullopt;
    for (unsigned cpu = *first; cpu <= *last; ++cpu) CPU_SET(cpu, &cpus);
  }
  return cpus;
}

Result<Scheduling::Plan> Scheduling::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  if (!request.spec.process) return plan;
  const oci::Process& process = *request.spec.process;
  if (process.scheduler) {
    TRY_ASSIGN(plan.policy, plan_policy(*process.scheduler));
    plan.sets_policy = true;
    plan.facts.push_back({"policy", process.scheduler->policy, ""});
    if (takes_nice(plan.policy.policy))
      plan.facts.push_back({"nice", std::to_string(plan.policy.nice), ""});
    if (is_real_time(plan.policy.policy))
      plan.facts.push_back({"priority", std::to_string(plan.policy.priority), ""});
    if (plan.policy.policy == SCHED_DEADLINE)
      plan.facts.push_back({"runtime/deadline/period",
                            std::to_string(plan.policy.runtime) + "/" +
                                std::to_string(plan.policy.deadline) + "/" +
                                std::to_string(plan.policy.period) + " ns",
                            ""});
  }
  if (process.io_priority) {
    TRY_ASSIGN(plan.io_priority, plan_io_priority(*process.io_priority));
    plan.sets_io_priority = true;
    plan.facts.push_back(
        {"io priority",
         process.io_priority->class_name + " " + std::to_string(process.io_priority->priority),
         ""});
  }
  if (const auto& memory = request.spec.linux_.memory_policy) {
    TRY_ASSIGN(plan.memory_policy, plan_memory_policy(*memory));
    plan.facts.push_back({"memory policy",
                          memory->nodes.empty() ? memory->mode : memory->mode + " " + memory->nodes,
                          "/linux/memoryPolicy"});
  }
  TRY(plan_affinity(request, plan));
  const bool needs_privilege =
      (plan.sets_policy && (!takes_nice(plan.policy.policy) || plan.policy.nice < 0)) ||
      (plan.sets_io_priority && plan.io_priority >> kIoClassShift == int{kIoRealTime});
  plan.set_by_parent = needs_privilege && lists_namespace(request, oci::NamespaceType::kUser) &&
                       host.in_initial_user_namespace && host.has_capability(kCapSysNice);
  return plan;
}

Explanation Scheduling::explain(const Plan& plan) {
  Explanation explanation;
  explanation.facts = plan.facts;
  if (plan.affinity_without_exec) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason =
        "execCPUAffinity concerns processes that exec adds, not a container's first";
  }
  if (plan.sets_policy || plan.sets_io_priority || plan.memory_policy) {
    explanation.standing = Standing::kApplied;
  } else if (plan.facts.empty()) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "none asked for: the runtime's own is inherited";
  }
  return explanation;
}

SysResult<void> Scheduling::from_parent(const Plan& plan, HostPid child) noexcept {
  if (!plan.set_by_parent) return {};
  return set_both(child.value(), plan);
}

SysResult<void> Scheduling::apply_initial_cpus(const Plan& plan) noexcept {
  if (plan.sets_initial_cpus &&
      ::sched_setaffinity(kThisProcess, sizeof plan.initial_cpus, &plan.initial_cpus) != 0)
    return sys_fail("sched_setaffinity (execCPUAffinity.initial)");
  return {};
}

SysResult<void> Scheduling::apply(const Plan& plan, ChildContext&) noexcept {
  if (!plan.set_by_parent) TRY(set_both(kThisProcess, plan));
  if (plan.memory_policy) TRY(set_memory_policy(*plan.memory_policy));
  if (plan.sets_final_cpus &&
      ::sched_setaffinity(kThisProcess, sizeof plan.final_cpus, &plan.final_cpus) != 0)
    return sys_fail("sched_setaffinity (execCPUAffinity.final)");
  return {};
}

SysResult<void> Scheduling::verify(const Plan& plan, ChildContext&) noexcept {
  if (plan.sets_policy) TRY(verify_policy(plan.policy));
  if (plan.sets_io_priority) {
    const long now = ::syscall(SYS_ioprio_get, kIoOfProcess, kThisProcess);
    if (now < 0) return sys_fail("ioprio_get");
    if (now != plan.io_priority) return not_held("the io priority is another");
  }
  if (plan.memory_policy) TRY(verify_memory_policy(*plan.memory_policy));
  if (plan.sets_final_cpus) {
    cpu_set_t now;
    CPU_ZERO(&now);
    if (::sched_getaffinity(kThisProcess, sizeof now, &now) != 0)
      return sys_fail("sched_getaffinity");
    // The kernel leaves out CPUs that the machine or the cgroup's cpuset does not have.
    const auto* have = reinterpret_cast<const unsigned long*>(&now);
    const auto* want = reinterpret_cast<const unsigned long*>(&plan.final_cpus);
    for (std::size_t i = 0; i < sizeof now / sizeof *have; ++i)
      if ((have[i] & ~want[i]) != 0) return not_held("the process may run on other CPUs");
  }
  return {};
}

}  // namespace bulkhead::isolation
