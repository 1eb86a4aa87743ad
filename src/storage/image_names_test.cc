#include "storage/image_names.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>

#include "storage/layout.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

class Names : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-names-XXXXXX";
    top_ = ::mkdtemp(name);
    store_ = *open_at(AT_FDCWD, top_.c_str(), O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override { (void)remove_tree_at(AT_FDCWD, top_.c_str()); }
  std::vector<std::string> listed() const {
    std::vector<std::string> names;
    const auto found = list_image_names(store_.get());
    for (const ImageName& name : found->names) names.push_back(name.reference.canonical());
    return names;
  }

  std::string top_;
  Fd store_;
  const std::string a_ = std::string(64, 'a');
  const std::string b_ = std::string(64, 'b');
};

Reference ref(const std::string& text) { return *parse_reference(text); }

TEST_F(Names, AreSetMovedAndTakenAway) {
  ASSERT_TRUE(set_image_name(store_.get(), ref("x"), a_));
  EXPECT_EQ(**read_image_name(store_.get(), ref("docker.io/library/x:latest")), a_);
  ASSERT_TRUE(set_image_name(store_.get(), ref("x"), b_));
  EXPECT_EQ(**read_image_name(store_.get(), ref("x")), b_);
  EXPECT_TRUE(*remove_image_name(store_.get(), ref("x")));
  EXPECT_FALSE(*remove_image_name(store_.get(), ref("x")));
  EXPECT_FALSE(*read_image_name(store_.get(), ref("x")));
  EXPECT_TRUE(list_repositories(store_.get())->empty())
      << "the last name takes its directory along";
}

TEST_F(Names, ComeBackAsTheyWere) {
  const std::vector<std::string> names{
      "[::1]:5000/v6:t", "docker.io/library/x:latest", "docker.io/library/x@sha256:" + a_,
      "localhost:5000/a/b/c:1.2-3_4",
      "registry.example/" + std::string(237, 'r') + ":" + std::string(128, 't')};
  for (const std::string& name : names) {
    const auto set = set_image_name(store_.get(), ref(name), a_);
    ASSERT_TRUE(set) << set.error().message();
  }
  auto found = listed();
  std::ranges::sort(found);
  EXPECT_EQ(found, names);
}

TEST_F(Names, ThatThisProgramDoesNotWriteAreToldApart) {
  ASSERT_TRUE(set_image_name(store_.get(), ref("x"), a_));
  const std::string directory = top_ + "/references/docker.io+library+x";
  ASSERT_EQ(::symlink("/etc/passwd", (directory + "/:outside").c_str()), 0);
  ASSERT_EQ(::symlink(("../../images/" + a_ + "/..").c_str(), (directory + "/:longer").c_str()), 0);
  ASSERT_EQ(::symlink(("../../images/" + a_).c_str(), (directory + "/no tag").c_str()), 0);
  ASSERT_EQ(::mkdir((top_ + "/references/UPPER").c_str(), 0700), 0);
  ASSERT_EQ(::symlink(("../../images/" + a_).c_str(), (top_ + "/references/UPPER/:x").c_str()), 0);
  ASSERT_EQ(::symlink("/", (top_ + "/references/link").c_str()), 0);
  const auto names = list_image_names(store_.get());
  ASSERT_TRUE(names);
  EXPECT_EQ(names->names.size(), 1U);
  EXPECT_EQ(names->foreign.size(), 5U);
  EXPECT_FALSE(read_image_name(store_.get(), ref("x:outside")));
}

TEST_F(Names, ThatWereNeverFinishedAreNoneAndGo) {
  ASSERT_TRUE(set_image_name(store_.get(), ref("x"), a_));
  const std::string left = top_ + "/references/docker.io+library+x/.new-1";
  ASSERT_EQ(::symlink("half", left.c_str()), 0);
  ASSERT_EQ(::mkdir((top_ + "/references/docker.io+library+y").c_str(), 0700), 0);
  EXPECT_EQ(list_image_names(store_.get())->names.size(), 1U);
  ASSERT_TRUE(clear_unfinished_names(store_.get()));
  EXPECT_NE(::faccessat(AT_FDCWD, left.c_str(), F_OK, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(list_repositories(store_.get())->size(), 1U);
}

TEST_F(Names, AreForManifestsOnly) {
  EXPECT_FALSE(set_image_name(store_.get(), ref("x"), "../../../etc/passwd"));
}

}  // namespace
}  // namespace bulkhead::storage
