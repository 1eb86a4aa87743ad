// Hosts and containers for this folder's tests. Included by tests only.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "isolation/cgroup/discover.h"
#include "isolation/cgroup/parent.h"
#include "isolation/testing.h"

namespace bulkhead::isolation::testing {

inline constexpr std::uint64_t kEveryCapability = ~std::uint64_t{0};

inline HostFacts privileged_host(std::vector<CgroupHierarchy> cgroups) {
  HostFacts host;
  host.effective_capabilities = kEveryCapability;
  host.cgroups = std::move(cgroups);
  return host;
}

inline HostFacts this_host() {
  auto found = discover_cgroup_hierarchies();
  return privileged_host(found ? std::move(*found) : std::vector<CgroupHierarchy>());
}

inline bool has_controller(const HostFacts& host, std::string_view controller) {
  for (const CgroupHierarchy& one : host.cgroups)
    for (const std::string& name : one.controllers)
      if (name == controller) return true;
  return false;
}

// A container's groups on this very host: /bulkhead-test-<pid>-<n> in every hierarchy, gone with
// it.
class LiveGroups {
 public:
  explicit LiveGroups(const oci::Spec& wanted = {}) : host_(this_host()), spec_(wanted) {
    static int count = 0;
    if (spec_.linux_.cgroups_path.empty())
      spec_.linux_.cgroups_path =
          "/bulkhead-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    auto plan = CgroupLimits::describe(Request{.spec = spec_, .container_id = "test"}, host_);
    if (!plan) {
      error_ = plan.error().message();
      return;
    }
    plan_ = std::move(*plan);
    auto set = CgroupSet::create(plan_);
    if (!set)
      error_ = set.error().message();
    else
      set_ = std::move(*set);
  }
  ~LiveGroups() {
    for (const pid_t pid : children_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    (void)set_.thaw();
    if (auto removed = set_.remove(); !removed) ADD_FAILURE() << removed.error().message();
  }
  LiveGroups(const LiveGroups&) = delete;
  LiveGroups& operator=(const LiveGroups&) = delete;

  const std::string& error() const { return error_; }
  CgroupSet& set() { return set_; }
  const CgroupLimits::Plan& plan() const { return plan_; }
  const oci::Spec& spec() const { return spec_; }

  std::string directory(std::string_view controller) const {
    for (const CgroupGroup& group : plan_.groups)
      if (controller.empty() ? group.version == CgroupVersion::kV2
                             : group.has_controller(controller))
        return group.directory;
    return {};
  }

  // A child that joins the groups as the layer does and then runs the body. Its pid, or -1.
  template <class Body>
  pid_t start(Body body) {
    const auto files = set_.membership(false);
    if (!files) return -1;
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child != 0) {
      if (child > 0) children_.push_back(child);
      return child;
    }
    TestChild context;
    context.parent.cgroup_files = *files;
    if (!answer_of(CgroupLimits::apply(plan_, context))) ::_exit(kChildCouldNotTry);
    set_ = CgroupSet();  // as execve would close them
    ::_exit(answer_of(body()) ? kChildSaidYes : kChildSaidNo);
    return -1;
  }
  // How it ended (waitpid's status).
  int wait(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    std::erase(children_, pid);
    return status;
  }
  template <class Body>
  bool inside(Body body) {
    const pid_t pid = start(std::move(body));
    if (pid < 0) return false;
    const int status = wait(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == kChildSaidYes;
  }

 private:
  HostFacts host_;
  oci::Spec spec_;
  CgroupLimits::Plan plan_;
  CgroupSet set_;
  std::string error_;
  std::vector<pid_t> children_;
};

inline oci::Spec with(const oci::Resources& resources) {
  oci::Spec spec;
  spec.linux_.resources = resources;
  return spec;
}

inline constexpr std::size_t kMiB = 1024 * 1024;

// Uses that much memory; false when it is refused.
inline bool touch(std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  std::memset(memory, 1, size);
  return true;
}

// Until `condition` holds, at most five seconds.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    ::usleep(1000);
  }
  return false;
}

inline bool can_open(const char* path, int flags) {
  return static_cast<bool>(Fd(::open(path, flags | O_CLOEXEC)));
}

inline bool sleep_for_ever() {
  for (;;) ::pause();
}

}  // namespace bulkhead::isolation::testing

#define SKIP_WITHOUT(controller)                                                                   \
  SKIP_UNLESS_ROOT();                                                                              \
  if (!::bulkhead::isolation::testing::has_controller(::bulkhead::isolation::testing::this_host(), \
                                                      controller))                                 \
  GTEST_SKIP() << "no hierarchy has the " controller " controller"
