#include "isolation/descriptors/self_protection.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <vector>

#include "isolation/descriptors/early_protection.h"
#include "isolation/testing.h"
#include "sys/raw_call.h"

namespace bulkhead::isolation {
namespace {

// This test program protects and executes itself: the second start runs the one test below that the
// filter in its arguments names, and answers by its exit code.
constexpr const char* kSecondStart = "--gtest_filter=SecondStart.DISABLED_IsProtected";
constexpr const char* kFilter = "--gtest_filter=SecondStart.DISABLED_IsProtectedInMemory";

std::vector<char*> arguments(const char* filter) {
  static char name[] = "/some/where/self_protection_test";
  static char hidden[] = "--gtest_also_run_disabled_tests";
  return {name, const_cast<char*>(filter), hidden, nullptr};
}

// Whether the binary, held open for reading from inside, can be opened for writing again, as the
// attack does once the runtime is gone. ETXTBSY only says that it is still running.
int error_of_writing(int binary) {
  const std::string path = "/proc/self/fd/" + std::to_string(binary);
  const int fd = ::open(path.c_str(), O_WRONLY);
  return fd >= 0 ? 0 : errno;
}

bool executes_itself_protected(const char* filter, bool refuse_mounts) {
  return testing::in_child([&] {
    if (refuse_mounts) {
      testing::kernel_refuses(SYS_open_tree, EPERM);
      testing::kernel_refuses(467, ENOSYS);  // open_tree_attr
    }
    const auto list = arguments(filter);
    ::close(1);
    ::open("/dev/null", O_WRONLY);
    const auto failed = protect_own_binary(list.data(), environ);
    if (!failed) std::fprintf(stderr, "%s\n", failed.error().message().c_str());
    return false;  // it should not have come back
  });
}

#if defined(BULKHEAD_HAS_RAW_CALL)
// As the kernel lays it out for the program's entry.
std::vector<long> entry_stack(std::vector<char*> words, const char* command) {
  words.insert(words.end() - 1, const_cast<char*>(command));
  std::vector<long> stack{static_cast<long>(words.size()) - 1};
  for (char* const word : words) stack.push_back(reinterpret_cast<long>(word));
  for (char** at = environ; *at != nullptr; ++at) stack.push_back(reinterpret_cast<long>(*at));
  stack.push_back(0);
  return stack;
}

bool executes_itself_early(const char* command, void (*refuse)()) {
  return testing::in_child([&] {
    refuse();
    const auto stack = entry_stack(arguments(kSecondStart), command);
    ::close(1);
    ::open("/dev/null", O_WRONLY);
    protect_own_binary_early(stack.data());
    return false;  // it came back
  });
}

TEST(EarlyProtection, ExecutesTheBinaryFromAReadOnlyMount) {
  SKIP_UNLESS_ROOT();
  for (const char* command : {"run", "create", "exec"})
    EXPECT_TRUE(executes_itself_early(command, [] {})) << command;
}

TEST(EarlyProtection, TakesTheOlderCalls) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(executes_itself_early("run", [] {
    testing::kernel_refuses(467, ENOSYS); /* open_tree_attr */
  }));
}

TEST(EarlyProtection, LeavesOtherCommandsAlone) {
  SKIP_UNLESS_ROOT();
  EXPECT_FALSE(executes_itself_early("state", [] {}));
}

TEST(EarlyProtection, LeavesItToTheLaterOneWhereMountsAreRefused) {
  SKIP_UNLESS_ROOT();
  EXPECT_FALSE(executes_itself_early("run", [] {
    testing::kernel_refuses(SYS_open_tree, EPERM);
    testing::kernel_refuses(467, ENOSYS);
  }));
  // A clone that did not become read-only would be executed for ever.
  EXPECT_FALSE(executes_itself_early("run", [] {
    testing::kernel_refuses(442, EPERM);  // mount_setattr
    testing::kernel_refuses(467, ENOSYS);
  }));
}
#endif

TEST(SelfProtection, FindsThisTestWritable) {
  SKIP_UNLESS_ROOT();
  EXPECT_EQ(*own_binary(), OwnBinary::kWritable);
}

TEST(SelfProtection, ExecutesTheBinaryFromAReadOnlyMount) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(executes_itself_protected(kSecondStart, false));
}

TEST(SelfProtection, ExecutesASealedCopyWhereMountsAreRefused) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(executes_itself_protected(kFilter, true));
}

TEST(SelfProtection, IsNotNeededForUsersWhoCannotWriteTheBinary) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(testing::in_child([] {
    if (::setresuid(1000, 1000, 1000) != 0) return false;
    const auto state = own_binary();
    return state && *state == OwnBinary::kNotOurs;
  }));
  EXPECT_TRUE(testing::in_child_as_root_of_user_namespace([] {
    const auto state = own_binary();
    return state && *state == OwnBinary::kNotOurs;
  }));
}

TEST(SelfProtection, FailsClosedWhenNothingHelps) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(testing::in_child([] {
    testing::kernel_refuses(SYS_open_tree, EPERM);
    testing::kernel_refuses(467, ENOSYS);
    testing::kernel_refuses(SYS_memfd_create, EPERM);
    const auto list = arguments(kSecondStart);
    return !protect_own_binary(list.data(), environ);
  }));
}

TEST(SecondStart, DISABLED_IsProtected) {
  ASSERT_EQ(*own_binary(), OwnBinary::kReadOnly);
  // A second protection does nothing: it would go round in circles.
  const auto list = arguments(kSecondStart);
  ASSERT_TRUE(protect_own_binary(list.data(), environ));
  std::array<char, 17> name{};
  ::prctl(PR_GET_NAME, name.data());
  EXPECT_STREQ(name.data(), "self_protection");
  const int binary = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(binary, 0);
  EXPECT_EQ(error_of_writing(binary), ETXTBSY);
  // What stays when it does not run any more: the mount is read-only, and nobody can change that.
  struct stat status{};
  ASSERT_EQ(::fstat(binary, &status), 0);
  EXPECT_NE(::fchmod(binary, status.st_mode), 0);
  EXPECT_EQ(errno, EROFS);
  struct {
    std::uint64_t set, clear, propagation, user_namespace;
  } writable{0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
  EXPECT_NE(
      ::syscall(442 /* mount_setattr */, binary, "", AT_EMPTY_PATH, &writable, sizeof writable), 0);
  EXPECT_NE(::mount(nullptr, "/proc/self/exe", nullptr, MS_REMOUNT | MS_BIND, nullptr), 0);
}

TEST(SecondStart, DISABLED_IsProtectedInMemory) {
  ASSERT_EQ(*own_binary(), OwnBinary::kReadOnly);
  const int binary = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(binary, 0);
  const int seals = ::fcntl(binary, F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_WRITE | F_SEAL_SEAL), F_SEAL_WRITE | F_SEAL_SEAL);
}

}  // namespace
}  // namespace bulkhead::isolation
