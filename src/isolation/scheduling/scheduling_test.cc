#include "isolation/scheduling/scheduling.h"

#include <gtest/gtest.h>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

using testing::in_child;
using testing::TestChild;

oci::Spec with(oci::Scheduler scheduler) {
  oci::Spec spec;
  spec.process.emplace().scheduler = std::move(scheduler);
  return spec;
}

oci::Scheduler policy(std::string name) {
  oci::Scheduler scheduler;
  scheduler.policy = std::move(name);
  return scheduler;
}

Result<Scheduling::Plan> describe(const oci::Spec& spec, bool joining = false) {
  Request request{.spec = spec};
  request.joining = joining;
  return Scheduling::describe(request, *gather_host_facts());
}

TEST(Scheduling, HoldsAfterApply) {
  oci::Scheduler batch = policy("SCHED_BATCH");
  batch.nice = 7;
  batch.flags = {"SCHED_FLAG_RESET_ON_FORK"};
  oci::Spec spec = with(batch);
  spec.process->io_priority = {"IOPRIO_CLASS_BE", 6};
  for (const char* name : {"SCHED_BATCH", "SCHED_IDLE", "SCHED_OTHER"}) {
    spec.process->scheduler->policy = name;
    spec.process->scheduler->nice = std::string_view(name) == "SCHED_IDLE" ? 0 : 7;
    const auto plan = *describe(spec);
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      const auto applied = Scheduling::apply(plan, child);
      if (!applied) return testing::answer_of(applied);
      return testing::answer_of(Scheduling::verify(plan, child));
    })) << name;
  }
}

TEST(Scheduling, HoldsForRealTimePolicies) {
  SKIP_UNLESS_ROOT();
  oci::Scheduler fifo = policy("SCHED_FIFO");
  fifo.priority = 5;
  const auto plan = *describe(with(fifo));
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    const auto applied = Scheduling::apply(plan, child);
    // A v1 cpu group without real-time budget refuses: that must be an error, too.
    if (!applied) return applied.error().error == EPERM;
    return static_cast<bool>(Scheduling::verify(plan, child));
  }));
}

TEST(Scheduling, VerifyNoticesThatApplyNeverRan) {
  const auto batch = *describe(with(policy("SCHED_BATCH")));
  oci::Spec io;
  io.process.emplace().io_priority = {"IOPRIO_CLASS_IDLE", 0};
  const auto idle = *describe(io);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    return !Scheduling::verify(batch, child) && !Scheduling::verify(idle, child);
  }));
}

TEST(Scheduling, FailsClosedWhenTheKernelRefuses) {
  oci::Spec spec = with(policy("SCHED_BATCH"));
  spec.process->io_priority = {"IOPRIO_CLASS_BE", 6};
  spec.process->exec_cpu_affinity = {"0", "0"};
  const auto plan = *describe(spec, true);
  for (const long call : {SYS_sched_setattr, SYS_ioprio_set, SYS_sched_setaffinity})
    EXPECT_TRUE(in_child([&] {
      TestChild child;
      testing::kernel_refuses(call, EPERM);
      return !Scheduling::apply(plan, child);
    })) << call;
}

TEST(Scheduling, PutsAnExecOnTheCpusThatWereAskedFor) {
  oci::Spec spec;
  spec.process.emplace().exec_cpu_affinity = {"0", "0"};
  const auto plan = *describe(spec, true);
  EXPECT_TRUE(in_child([&] {
    TestChild child;
    if (Scheduling::verify(plan, child) && ::sysconf(_SC_NPROCESSORS_ONLN) > 1) return false;
    return Scheduling::apply_initial_cpus(plan) && Scheduling::apply(plan, child) &&
           Scheduling::verify(plan, child);
  }));
}

TEST(Scheduling, SaysThatAffinityIsNotForAContainersFirstProcess) {
  oci::Spec spec;
  spec.process.emplace().exec_cpu_affinity = {"0", "0"};
  const Explanation explanation = Scheduling::explain(*describe(spec, false));
  EXPECT_EQ(explanation.standing, Standing::kNotApplicable);
  EXPECT_NE(explanation.reason.find("exec"), std::string::npos);
}

TEST(Scheduling, IsSetByTheParentWhereOnlyItMay) {
  oci::Scheduler fifo = policy("SCHED_FIFO");
  fifo.priority = 5;
  oci::Spec spec = with(fifo);
  HostFacts host;
  host.effective_capabilities = ~std::uint64_t{0};
  EXPECT_FALSE(Scheduling::describe({.spec = spec}, host)->set_by_parent);
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  EXPECT_TRUE(Scheduling::describe({.spec = spec}, host)->set_by_parent);
  spec.process->scheduler = policy("SCHED_BATCH");
  EXPECT_FALSE(Scheduling::describe({.spec = spec}, host)->set_by_parent);
}

TEST(Scheduling, RefusesWhatMakesNoSense) {
  EXPECT_FALSE(describe(with(policy("SCHED_ISO"))));
  EXPECT_FALSE(describe(with(policy("SCHED_FIFO"))));
  oci::Scheduler wrong = policy("SCHED_OTHER");
  wrong.priority = 3;
  EXPECT_FALSE(describe(with(wrong)));
  wrong = policy("SCHED_OTHER");
  wrong.nice = 20;
  EXPECT_FALSE(describe(with(wrong)));
  wrong = policy("SCHED_OTHER");
  wrong.runtime = 10;
  EXPECT_FALSE(describe(with(wrong)));
  wrong = policy("SCHED_OTHER");
  wrong.flags = {"SCHED_FLAG_FAST"};
  EXPECT_FALSE(describe(with(wrong)));
  oci::Spec io;
  io.process.emplace().io_priority = {"IOPRIO_CLASS_BE", 8};
  EXPECT_FALSE(describe(io));
  io.process->io_priority = {"BE", 1};
  EXPECT_FALSE(describe(io));
  oci::Spec affinity;
  affinity.process.emplace().exec_cpu_affinity = {"0-", "0"};
  EXPECT_FALSE(describe(affinity, true));
}

TEST(CpuList, IsReadStrictly) {
  const auto count = [](std::string_view text) {
    const auto cpus = parse_cpu_list(text);
    return cpus ? CPU_COUNT(&*cpus) : -1;
  };
  EXPECT_EQ(count("0-3,7"), 5);
  EXPECT_EQ(count(" 1, 2 "), 2);
  EXPECT_EQ(count("0-1023"), 1024);
  for (const char* text : {"", ",", "0-", "-1", "3-1", "0,", "a", "1024", "0-1024", "0x1", "1-2-3"})
    EXPECT_FALSE(parse_cpu_list(text)) << text;
}

}  // namespace
}  // namespace bulkhead::isolation
