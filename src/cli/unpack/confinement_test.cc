#include "cli/unpack/confinement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "cli/unpack/sanitized_testing.h"
#include "sys/tree.h"

namespace bulkhead::cli {
namespace {

using storage::WorkerKind;

constexpr int kDid = 0;       // the deed was done
constexpr int kCouldNot = 1;  // the kernel said no
constexpr int kUnprepared = 2;

class Confined : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (kSanitized) GTEST_SKIP() << "a sanitizer maps more memory than a worker may have";
    char name[] = "/tmp/bulkhead-confined-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  void TearDown() override {
    if (!directory_.empty()) (void)remove_tree_at(AT_FDCWD, directory_.c_str());
  }

  // The wait status of a process that enters the confinement (or does not) and then tries the deed.
  int attempt(std::optional<WorkerKind> kind, const std::function<bool()>& deed) const {
    const auto host = isolation::gather_host_facts();
    EXPECT_TRUE(host);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::chdir(directory_.c_str()) != 0) ::_exit(kUnprepared);
      LayeredConfinement confinement(*host);
      if (kind && !confinement.enter(*kind)) ::_exit(kUnprepared);
      const bool done = deed();
      ::_exit(done ? kDid : kCouldNot);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }
  bool possible_outside(const std::function<bool()>& deed) const {
    const int status = attempt(std::nullopt, deed);
    return WIFEXITED(status) && WEXITSTATUS(status) == kDid;
  }
  bool killed_inside(WorkerKind kind, const std::function<bool()>& deed) const {
    const int status = attempt(kind, deed);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
  }
  bool possible_inside(WorkerKind kind, const std::function<bool()>& deed) const {
    const int status = attempt(kind, deed);
    return WIFEXITED(status) && WEXITSTATUS(status) == kDid;
  }
  bool refused_inside(WorkerKind kind, const std::function<bool()>& deed) const {
    const int status = attempt(kind, deed);
    return WIFEXITED(status) && WEXITSTATUS(status) == kCouldNot;
  }

  std::string directory_;
};

bool reads_host_file() {
  return ::open("/etc/hostname", O_RDONLY | O_CLOEXEC) >= 0 || ::open("/etc/passwd", O_RDONLY) >= 0;
}
bool opens_socket() { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0; }
bool executes() {
  ::execl("/bin/true", "true", nullptr);
  return false;
}
bool forks() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return child > 0;
}

TEST_F(Confined, ADecompressorCanOpenNothingAtAll) {
  EXPECT_TRUE(possible_outside(reads_host_file));
  EXPECT_TRUE(killed_inside(WorkerKind::kDecompressor, reads_host_file));
  const auto writes = [] { return ::open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0; };
  EXPECT_TRUE(possible_outside(writes));
  EXPECT_TRUE(killed_inside(WorkerKind::kDecompressor, writes));
}

TEST_F(Confined, AnExtractorSeesOnlyItsDirectory) {
  EXPECT_TRUE(refused_inside(WorkerKind::kExtractor, reads_host_file));
  const auto climbs = [] { return ::open("../../../../etc/passwd", O_RDONLY | O_CLOEXEC) >= 0; };
  EXPECT_TRUE(possible_outside(climbs));
  EXPECT_TRUE(refused_inside(WorkerKind::kExtractor, climbs));
  EXPECT_TRUE(possible_inside(WorkerKind::kExtractor, [] {
    const int fd = ::open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    return fd >= 0 && ::fchown(fd, 12345, 12345) == 0 && ::fchmod(fd, 04755) == 0;
  })) << "what it is there for";
}

TEST_F(Confined, NobodyConnectsExecutesOrForks) {
  for (const WorkerKind kind : {WorkerKind::kDecompressor, WorkerKind::kExtractor}) {
    EXPECT_TRUE(killed_inside(kind, opens_socket));
    EXPECT_TRUE(killed_inside(kind, executes));
    EXPECT_TRUE(killed_inside(kind, forks));
    EXPECT_TRUE(
        killed_inside(kind, [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }));
    // Calls newer than any in the profile do not exist for it.
    EXPECT_FALSE(
        possible_inside(kind, [] { return ::syscall(SYS_io_uring_setup, 1, nullptr) >= 0; }));
  }
  EXPECT_TRUE(possible_outside(opens_socket));
  EXPECT_TRUE(possible_outside(executes));
  EXPECT_TRUE(possible_outside(forks));
}

TEST_F(Confined, AnExtractorMakesNoDevices) {
  const auto disk = [] { return ::mknod("disk", S_IFBLK | 0600, 0x800) == 0; };
  EXPECT_TRUE(possible_outside(disk));
  ASSERT_EQ(::unlink((directory_ + "/disk").c_str()), 0);
  EXPECT_TRUE(refused_inside(WorkerKind::kExtractor, disk));
  EXPECT_TRUE(
      possible_inside(WorkerKind::kExtractor, [] { return ::mknod("whiteout", S_IFCHR, 0) == 0; }));
}

// The kinds of namespaces that a process, while it waits for its input, has in common with us.
std::string shared_namespaces(pid_t process) {
  std::string shared;
  for (const char* kind : {"net", "ipc", "mnt"}) {
    struct stat theirs{};
    struct stat ours{};
    const std::string path = "/proc/" + std::to_string(process) + "/ns/" + kind;
    if (::stat(path.c_str(), &theirs) != 0 ||
        ::stat((std::string("/proc/self/ns/") + kind).c_str(), &ours) != 0)
      return "unknown";
    if (theirs.st_ino == ours.st_ino) shared.append(kind).append(" ");
  }
  return shared;
}

// The profile hides what these stop: without it they would be all there is.
TEST_F(Confined, EachWorkerHasNamespacesOfItsOwn) {
  for (const auto& kind : {std::optional<WorkerKind>(), std::optional(WorkerKind::kDecompressor),
                           std::optional(WorkerKind::kExtractor)}) {
    int ready[2];
    int gate[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(gate, O_CLOEXEC), 0);
    const auto host = isolation::gather_host_facts();
    ASSERT_TRUE(host);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(gate[1]);
      LayeredConfinement confinement(*host);
      char byte = 0;
      if (::chdir(directory_.c_str()) != 0 || (kind && !confinement.enter(*kind)))
        ::_exit(kUnprepared);
      (void)!::write(ready[1], &byte, 1);
      (void)!::read(gate[0], &byte, 1);
      ::_exit(kDid);
    }
    ::close(ready[1]);
    ::close(gate[0]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    EXPECT_EQ(shared_namespaces(child), kind ? "" : "net ipc mnt ");
    ::close(gate[1]);
    ::close(ready[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kDid);
  }
}

TEST_F(Confined, TakesNoMoreMemoryThanItsLimit) {
  const auto two_gigabytes = [] { return std::malloc(std::size_t{2} << 30) != nullptr; };
  EXPECT_TRUE(possible_outside(two_gigabytes));
  EXPECT_TRUE(refused_inside(WorkerKind::kDecompressor, two_gigabytes));
}

}  // namespace
}  // namespace bulkhead::cli
