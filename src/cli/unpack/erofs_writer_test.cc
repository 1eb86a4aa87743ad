#include "cli/unpack/erofs_writer.h"
#include "cli/unpack/sanitized_testing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "storage/helper_process.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::cli {
namespace {

constexpr int kDid = 0;
constexpr int kCouldNot = 1;
constexpr int kUnprepared = 2;

class ErofsWriter : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (kSanitized) GTEST_SKIP() << "a sanitizer maps more memory than a worker may have";
    char name[] = "/tmp/bulkhead-erofs-XXXXXX";
    place_ = ::mkdtemp(name);
    layer_ = place_ + "/layer";
    output_ = place_ + "/output";
    ASSERT_EQ(::mkdir(layer_.c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(output_.c_str(), 0700), 0);
    ASSERT_EQ(::mkdir((layer_ + "/opaque").c_str(), 0700), 0);
    ASSERT_EQ(::setxattr((layer_ + "/opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
    const Fd closed(::open((layer_ + "/closed").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0000));
    ASSERT_EQ(::fchown(closed.get(), 1234, 1234), 0);
  }
  void TearDown() override {
    if (!place_.empty()) (void)remove_tree_at(AT_FDCWD, place_.c_str());
  }

  // What becomes of a deed in a new process, with the confinement or without it.
  int attempt(bool confined, const std::function<bool()>& deed) const {
    auto host = isolation::gather_host_facts();
    EXPECT_TRUE(host);
    const pid_t child = ::fork();
    if (child == 0) {
      const Fd layer(::open(layer_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const Fd output(::open(output_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      LayeredErofsWriter confinement(*std::move(host));
      if (confined && !confinement.enter(layer.get(), output.get())) ::_exit(kUnprepared);
      ::_exit(deed() ? kDid : kCouldNot);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void only_outside(const char* what, const std::function<bool()>& deed) const {
    EXPECT_EQ(attempt(false, deed), kDid) << what << ": the control";
    EXPECT_EQ(attempt(true, deed), kCouldNot) << what;
  }

  std::string place_, layer_, output_;
};

TEST_F(ErofsWriter, ReadsTheLayerWhateverItsModes) {
  EXPECT_EQ(attempt(true, [] { return ::open("/layer/closed", O_RDONLY | O_CLOEXEC) >= 0; }), kDid);
  EXPECT_EQ(attempt(true,
                    [] {
                      char value = 0;
                      return ::lgetxattr("/layer/opaque", "trusted.overlay.opaque", &value, 1) == 1;
                    }),
            kDid);
}

TEST_F(ErofsWriter, WritesToTheOutputOnly) {
  EXPECT_EQ(attempt(true,
                    [] {
                      return ::openat(AT_FDCWD, "/output/image", O_CREAT | O_WRONLY | O_CLOEXEC,
                                      0600) >= 0;
                    }),
            kDid);
  const auto writes_to = [](const std::string& path) {
    return [path] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0; };
  };
  EXPECT_EQ(attempt(false, writes_to(layer_ + "/made")), kDid) << "the control";
  EXPECT_EQ(attempt(true, writes_to("/layer/made")), kCouldNot);
  EXPECT_EQ(attempt(true, writes_to("/layer/closed")), kCouldNot);
  EXPECT_EQ(attempt(true, writes_to("/usr/bin/mkfs.erofs")), kCouldNot);
}

TEST_F(ErofsWriter, SeesNothingElseOfTheHost) {
  for (const char* path : {"/etc/passwd", "/proc/self/status", "/dev/null", "/root", "/var"})
    only_outside(path, [path] { return ::open(path, O_RDONLY | O_CLOEXEC) >= 0; });
  only_outside("a way up", [this] {
    return ::open((layer_ + "/../../../etc/passwd").c_str(), O_RDONLY | O_CLOEXEC) >= 0;
  });
}

TEST_F(ErofsWriter, DoesNothingElseWithItsPrivileges) {
  only_outside("socket", [] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0; });
  only_outside("fork", [] {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    return child > 0;
  });
  only_outside("unshare", [] { return ::unshare(CLONE_NEWNS) == 0; });
  only_outside("mount", [this] {
    // Over its own place, which both have, under either name.
    return ::unshare(CLONE_NEWNS) == 0 &&
           (::mount("none", layer_.c_str(), "tmpfs", 0, nullptr) == 0 ||
            ::mount("none", "/layer", "tmpfs", 0, nullptr) == 0);
  });
  only_outside("chroot", [] { return ::chroot("/usr") == 0; });
  only_outside("setxattr", [this] {
    return ::setxattr((layer_ + "/opaque").c_str(), "trusted.x", "y", 1, 0) == 0 ||
           ::setxattr("/layer/opaque", "trusted.x", "y", 1, 0) == 0;
  });
}

class Inspected final : public storage::ErofsWriterConfinement {
 public:
  Result<void> enter(int, int) override { return fail(ErrorKind::kPermission, "locked out"); }
};

TEST_F(ErofsWriter, MakesWholeImagesInAStore) {
  if (const auto program = storage::find_system_program("mkfs.erofs", "erofs-utils"); !program)
    GTEST_SKIP() << program.error().message();
  const std::string id(64, 'a');
  const std::string image = place_ + "/layers-erofs/" + id + ".erofs";
  ASSERT_EQ(::mkdir((place_ + "/layers").c_str(), 0700), 0);
  ASSERT_EQ(::rename(layer_.c_str(), (place_ + "/layers/" + id).c_str()), 0);
  Inspected refusing;
  const auto refused = storage::make_erofs_images(place_, {id}, refusing);
  ASSERT_FALSE(refused) << "what cannot be locked in does not run";
  EXPECT_NE(refused.error().message().find("locked out"), std::string::npos);
  EXPECT_NE(::access(image.c_str(), F_OK), 0);

  auto host = isolation::gather_host_facts();
  ASSERT_TRUE(host);
  LayeredErofsWriter confinement(*std::move(host));
  const auto made = storage::make_erofs_images(place_, {id}, confinement);
  ASSERT_TRUE(made) << made.error().message();
  struct stat status{};
  ASSERT_EQ(::stat(image.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_NE(::access((place_ + "/layers-erofs/.unfinished").c_str(), F_OK), 0);

  EXPECT_FALSE(storage::make_erofs_images(place_, {"../../etc"}, confinement));
  EXPECT_FALSE(storage::make_erofs_images(place_, {std::string(64, 'b')}, confinement))
      << "there is no such layer";
}

TEST_F(ErofsWriter, FillsNoDiskWithHoles) {
  if (const auto program = storage::find_system_program("mkfs.erofs", "erofs-utils"); !program)
    GTEST_SKIP() << program.error().message();
  const std::string id(64, 'a');
  ASSERT_EQ(::mkdir((place_ + "/layers").c_str(), 0700), 0);
  ASSERT_EQ(::truncate((layer_ + "/closed").c_str(), off_t{1} << 36), 0);
  ASSERT_EQ(::rename(layer_.c_str(), (place_ + "/layers/" + id).c_str()), 0);
  auto host = isolation::gather_host_facts();
  ASSERT_TRUE(host);
  LayeredErofsWriter confinement(*std::move(host));
  const auto made = storage::make_erofs_images(place_, {id}, confinement);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message().find("holes"), std::string::npos) << made.error().message();
  EXPECT_NE(made.error().hint().find("--storage overlay"), std::string::npos);
  EXPECT_NE(::access((place_ + "/layers-erofs/.unfinished").c_str(), F_OK), 0) << "nothing stays";
}

}  // namespace
}  // namespace bulkhead::cli
