// What the tests of snapshots share: a store with two layers, and a user namespace to see them through.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "storage/snapshot.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {

inline constexpr std::uint32_t kFirstId = 1'700'000'000;

// A user namespace that maps 0 to 65535 to kFirstId upwards, by descriptor.
inline Fd make_user_namespace() {
  int ready[2];
  int done[2];
  if (::pipe2(ready, O_CLOEXEC) != 0 || ::pipe2(done, O_CLOEXEC) != 0) return Fd();
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(1);
    (void)!::write(ready[1], &byte, 1);
    ::close(done[1]);
    (void)!::read(done[0], &byte, 1);
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  Fd space;
  if (::read(ready[0], &byte, 1) == 1) {
    const std::string proc = "/proc/" + std::to_string(child);
    const std::string map = "0 " + std::to_string(kFirstId) + " 65536";
    if (write_file_at(AT_FDCWD, (proc + "/uid_map").c_str(), map) &&
        write_file_at(AT_FDCWD, (proc + "/gid_map").c_str(), map))
      space = Fd(::open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  }
  ::close(ready[0]);
  ::close(done[0]);
  ::close(done[1]);
  ::waitpid(child, nullptr, 0);
  return space;
}

// Layers with names as the store has them.
inline const std::string kLow = "layers/" + std::string(64, '1');
inline const std::string kHigh = "layers/" + std::string(64, '2');

// A store on /tmp with two layers, of which the higher hides a file of the lower.
class SnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    // Overlays want an upper directory that does not itself lie on one: $TMPDIR where /tmp does.
    const char* const place = std::getenv("TMPDIR");
    path_ = std::string(place == nullptr ? "/tmp" : place) + "/bulkhead-snapshot-XXXXXX";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    store_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (const std::string& directory :
         {std::string("layers"), kLow, kLow + "/etc", kHigh, kHigh + "/etc"})
      ASSERT_EQ(::mkdirat(store_.get(), directory.c_str(), 0755), 0);
    write(kLow + "/etc/hosts", "low");
    write(kLow + "/etc/passwd", "hidden");
    write(kHigh + "/etc/hosts", "high");
    ASSERT_EQ(::mknodat(store_.get(), (kHigh + "/etc/passwd").c_str(), S_IFCHR, makedev(0, 0)), 0);
    snapshot_.store = store_.get();
    snapshot_.layers = {kHigh, kLow};
    snapshot_.container = "containers/one";
    space_ = make_user_namespace();
    ASSERT_TRUE(space_);
  }
  void TearDown() override {
    snapshot_.space.reset();
    if (!path_.empty()) (void)remove_tree_at(AT_FDCWD, path_.c_str());
  }
  void write(const std::string& name, std::string_view content) {
    const Fd file(::openat(store_.get(), name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_TRUE(write_all(file.get(), content.data(), content.size()));
  }
  Result<MountedSnapshot> mounted(OverlayMethod method = OverlayMethod::kAutomatic) {
    TRY(make_container_directory(store_.get(), snapshot_.container));
    TRY(make_upper(snapshot_, HostUid(kFirstId), HostGid(kFirstId)));
    return mount_snapshot(snapshot_, space_.get(), method);
  }

  std::string path_;
  Fd store_;
  Fd space_;
  Snapshot snapshot_;
};

}  // namespace bulkhead::storage
