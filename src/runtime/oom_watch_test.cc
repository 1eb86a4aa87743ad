#include "runtime/oom_watch.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>

#include <vector>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using testing::TemporaryDirectory;
using testing::write_text;

TEST(OomWatch, IsNothingWithoutTheMemoryController) {
  const TemporaryDirectory place;
  const std::vector<std::string> groups = {"cpu,cpuacct:" + place.path(), ":" + place.path()};
  const auto watch = OomWatch::start(groups);
  ASSERT_TRUE(watch);
  EXPECT_FALSE(watch->has_value());
}

TEST(OomWatch, TellsEachKillOfAV2GroupOnce) {
  const TemporaryDirectory place;
  const std::string file = place / "memory.events";
  write_text(file, "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n");
  const std::vector<std::string> groups = {":" + place.path()};
  auto watch = OomWatch::start(groups);
  ASSERT_TRUE(watch && *watch);
  EXPECT_FALSE((*watch)->happened()) << "kills before the start do not count";
  write_text(file, "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n");
  EXPECT_TRUE((*watch)->happened());
  EXPECT_FALSE((*watch)->happened());
}

// A group of the v1 memory controller for one test.
class MemoryGroup {
 public:
  MemoryGroup() : path_("/sys/fs/cgroup/memory/bulkhead-oom-test-" + std::to_string(::getpid())) {
    made_ = ::mkdir(path_.c_str(), 0700) == 0;
  }
  ~MemoryGroup() {
    if (made_) ::rmdir(path_.c_str());
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  explicit operator bool() const { return made_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool made_ = false;
};

TEST(OomWatch, TellsAKillInAV1Group) {
  const MemoryGroup group;
  if (!group) GTEST_SKIP() << "no cgroup v1 memory controller that this user may use";
  ASSERT_TRUE(
      write_file_at(AT_FDCWD, (group.path() + "/memory.limit_in_bytes").c_str(), "4194304"));
  (void)write_file_at(AT_FDCWD, (group.path() + "/memory.memsw.limit_in_bytes").c_str(), "4194304");
  const std::vector<std::string> groups = {"memory:" + group.path()};
  auto watch = OomWatch::start(groups);
  ASSERT_TRUE(watch) << watch.error().message();
  ASSERT_TRUE(*watch);
  EXPECT_FALSE((*watch)->happened());
  const pid_t child = ::fork();
  if (child == 0) {
    if (!write_file_at(AT_FDCWD, (group.path() + "/tasks").c_str(), "0")) ::_exit(2);
    constexpr std::size_t kTooMuch = 64U << 20;
    void* memory = ::mmap(nullptr, kTooMuch, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ::_exit(memory == MAP_FAILED ? 1 : 0);
  }
  struct pollfd item{(*watch)->get(), (*watch)->events(), 0};
  EXPECT_EQ(::poll(&item, 1, 10'000), 1);
  EXPECT_TRUE((*watch)->happened());
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
}

}  // namespace
}  // namespace bulkhead::runtime
