#include "engine/oom.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

constexpr const char* kLine =
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,"
    "oom_memcg=/bulkhead/0123,task_memcg=/bulkhead/0123/sub,task=python3,pid=4711,uid=100000";

TEST(OomLine, NamesTheProcessAndTheGroup) {
  const auto victim = read_oom_line(kLine, "0123");
  ASSERT_TRUE(victim);
  EXPECT_EQ(victim->process, "python3");
  EXPECT_EQ(victim->pid, "4711");
  EXPECT_EQ(victim->group, "/bulkhead/0123");
}

TEST(OomLine, IsOfItsOwnContainerAlone) {
  EXPECT_FALSE(read_oom_line(kLine, "012"));
  EXPECT_FALSE(read_oom_line(kLine, "4567"));
  EXPECT_FALSE(read_oom_line(kLine, ""));
}

TEST(OomLine, TellsTheHostsShortageFromALimit) {
  const auto victim = read_oom_line(
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
      "task_memcg=/bulkhead/0123,task=a,pid=1,uid=0",
      "0123");
  ASSERT_TRUE(victim);
  EXPECT_EQ(victim->group, "/");
}

TEST(OomLine, IsNotLedAstrayByAName) {
  const auto victim = read_oom_line(
      "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,"
      "oom_memcg=/b/0123,task_memcg=/b/0123,task=a,pid=1,uid=0,pid=99,uid=7",
      "0123");
  ASSERT_TRUE(victim);
  EXPECT_EQ(victim->pid, "99");
  for (const char* const line :
       {"", "oom-kill:", "Out of memory: Killed process 1 (0123)", "oom-kill:task_memcg=/0123,uid=",
        "oom-kill:x,task_memcg=/0123,task=a,pid=x,uid=0", "x oom-kill:,task_memcg=/0123"})
    EXPECT_FALSE(read_oom_line(line, "0123")) << line;
}

}  // namespace
}  // namespace bulkhead::engine
