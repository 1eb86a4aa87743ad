#include "engine/registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <thread>

#include "sys/tree.h"

namespace bulkhead::engine {
namespace {

class Registry : public ::testing::Test {
 protected:
  Registry() {
    char name[] = "/tmp/bulkhead-registry-XXXXXX";
    path_ = ::mkdtemp(name);
    store_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ::mkdirat(store_.get(), "containers", 0700);
  }
  ~Registry() override { (void)remove_tree_at(AT_FDCWD, path_.c_str()); }

  std::string make_container() {
    const std::string id = *new_id();
    EXPECT_EQ(::mkdirat(store_.get(), container_path(id).c_str(), 0700), 0);
    return id;
  }

  std::string path_;
  Fd store_;
};

TEST_F(Registry, MakesIdsOf64HexadecimalDigits) {
  const auto id = new_id();
  ASSERT_TRUE(id);
  EXPECT_EQ(id->size(), 64U);
  EXPECT_EQ(id->find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(*id, *new_id());
}

TEST_F(Registry, GivesANameOnce) {
  const std::string first = make_container();
  const std::string second = make_container();
  ASSERT_TRUE(take_name(store_.get(), "web", first));
  const auto again = take_name(store_.get(), "web", second);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kExists);
  ASSERT_TRUE(release_name(store_.get(), "web", second)) << "not its name: nothing happens";
  EXPECT_FALSE(take_name(store_.get(), "web", second));
  ASSERT_TRUE(release_name(store_.get(), "web", first));
  EXPECT_TRUE(take_name(store_.get(), "web", second));
}

TEST_F(Registry, ClearsANameWhoseContainerIsGone) {
  ASSERT_TRUE(take_name(store_.get(), "web", *new_id()));
  EXPECT_TRUE(take_name(store_.get(), "web", make_container()));
}

TEST_F(Registry, GivesANameToOneOfManyRivals) {
  std::vector<std::string> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(make_container());
  ASSERT_TRUE(take_name(store_.get(), "web", *new_id()));  // left over: all rivals want to clear it
  std::atomic<int> winners = 0;
  std::vector<std::thread> rivals;
  for (const std::string& id : ids)
    rivals.emplace_back([&, id] { winners += take_name(store_.get(), "web", id) ? 1 : 0; });
  for (std::thread& rival : rivals) rival.join();
  EXPECT_EQ(winners, 1);
}

TEST_F(Registry, FindsContainersByNameIdAndPrefix) {
  const std::string id = make_container();
  ASSERT_TRUE(take_name(store_.get(), "web", id));
  EXPECT_EQ(find_container(store_.get(), "web"), id);
  EXPECT_EQ(find_container(store_.get(), id), id);
  EXPECT_EQ(find_container(store_.get(), id.substr(0, 12)), id);
  for (const char* name : {"nobody", "", "../containers", "/", "web/"})
    EXPECT_FALSE(find_container(store_.get(), name)) << name;
}

TEST_F(Registry, HoldsAContainerForOne) {
  const std::string id = make_container();
  auto hold = hold_container(store_.get(), id);
  ASSERT_TRUE(hold);
  const auto second = hold_container(store_.get(), id);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kState);
  hold->reset();
  EXPECT_TRUE(hold_container(store_.get(), id));
}

}  // namespace
}  // namespace bulkhead::engine
