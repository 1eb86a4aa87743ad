#include "sys/tree.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>

#include "sys/fd.h"

namespace bulkhead {
namespace {

struct TemporaryDirectory {
  TemporaryDirectory() {
    char name[] = "/tmp/bulkhead-tree-XXXXXX";
    path = ::mkdtemp(name);
    fd = Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~TemporaryDirectory() { (void)remove_tree_at(AT_FDCWD, path.c_str()); }
  std::string path;
  Fd fd;
};

void make_file(int directory, const char* name) {
  const Fd file(::openat(directory, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
}

TEST(MakeDirectories, MakesWhatIsMissingForTheOwnerAlone) {
  TemporaryDirectory temporary;
  const std::string deep = temporary.path + "/a/b/c";
  ASSERT_TRUE(make_directories(deep));
  ASSERT_TRUE(make_directories(deep)) << "a second time";
  struct stat status{};
  ASSERT_EQ(::stat((temporary.path + "/a/b").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
  make_file(temporary.fd.get(), "file");
  EXPECT_FALSE(make_directories(temporary.path + "/file/beneath"));
}

TEST(RemoveTree, RemovesFilesDirectoriesAndLinks) {
  TemporaryDirectory temporary;
  ASSERT_EQ(::mkdirat(temporary.fd.get(), "tree", 0700), 0);
  ASSERT_EQ(::mkdirat(temporary.fd.get(), "tree/inner", 0), 0);
  for (int i = 0; i < 300; ++i)
    make_file(temporary.fd.get(), ("tree/file-" + std::to_string(i)).c_str());
  ASSERT_EQ(::symlinkat("nowhere", temporary.fd.get(), "tree/inner/link"), 0);
  ASSERT_TRUE(remove_tree_at(temporary.fd.get(), "tree"));
  EXPECT_NE(::faccessat(temporary.fd.get(), "tree", F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

TEST(RemoveTree, DoesNotFollowLinksOutOfTheTree) {
  TemporaryDirectory temporary;
  ASSERT_EQ(::mkdirat(temporary.fd.get(), "outside", 0700), 0);
  make_file(temporary.fd.get(), "outside/canary");
  ASSERT_EQ(::mkdirat(temporary.fd.get(), "tree", 0700), 0);
  ASSERT_EQ(::symlinkat("../outside", temporary.fd.get(), "tree/link"), 0);
  ASSERT_TRUE(remove_tree_at(temporary.fd.get(), "tree"));
  EXPECT_EQ(::faccessat(temporary.fd.get(), "outside/canary", F_OK, 0), 0);
}

TEST(RemoveTree, RemovesALinkButNotWhatItPointsTo) {
  TemporaryDirectory temporary;
  ASSERT_EQ(::mkdirat(temporary.fd.get(), "outside", 0700), 0);
  ASSERT_EQ(::symlinkat("outside", temporary.fd.get(), "link"), 0);
  ASSERT_TRUE(remove_tree_at(temporary.fd.get(), "link"));
  EXPECT_EQ(::faccessat(temporary.fd.get(), "outside", F_OK, 0), 0);
}

TEST(RemoveTree, RemovesNestingFarBeyondThePathLimit) {
  TemporaryDirectory temporary;
  ASSERT_EQ(::mkdirat(temporary.fd.get(), "tree", 0700), 0);
  Fd at(::openat(temporary.fd.get(), "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name(200, 'd');
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0700), 0);
    make_file(at.get(), ".too-deep-0");  // the name that the removal itself would like to use
    at = Fd(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at);
  }
  at.reset();
  ASSERT_TRUE(remove_tree_at(temporary.fd.get(), "tree"));
  EXPECT_NE(::faccessat(temporary.fd.get(), "tree", F_OK, 0), 0);
}

TEST(RemoveTree, IsFineWhenThereIsNothing) {
  TemporaryDirectory temporary;
  EXPECT_TRUE(remove_tree_at(temporary.fd.get(), "nothing"));
}

}  // namespace
}  // namespace bulkhead
