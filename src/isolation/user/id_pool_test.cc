#include "isolation/user/id_pool.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>

#include "isolation/testing.h"

namespace bulkhead::isolation {
namespace {

namespace fs = std::filesystem;

class IdPoolTest : public ::testing::Test {
 protected:
  IdPoolTest() {
    std::string pattern = (fs::temp_directory_path() / "bulkhead-id-pool-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    write("uid_map", "0 0 4294967295\n");
    write("subuid", "");
  }
  ~IdPoolTest() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) {
    const Fd file(::open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_TRUE(write_all(file.get(), text.data(), text.size()));
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  Result<IdPool> pool(const IdRange& range = kDefaultIdPool) {
    subuid_ = path("subuid");
    uid_map_ = path("uid_map");
    return IdPool::open(path("pool"), range,
                        {subuid_.c_str(), subuid_.c_str(), uid_map_.c_str(), uid_map_.c_str()});
  }

  fs::path folder_;
  std::string subuid_;
  std::string uid_map_;
};

constexpr IdRange kThree{kDefaultIdPool.first, 3 * kIdsPerContainer};

TEST_F(IdPoolTest, GivesEachOwnerARangeOfItsOwn) {
  auto ids = *pool(kThree);
  const auto first = ids.allocate("one");
  const auto second = ids.allocate("two");
  const auto third = ids.allocate("three");
  ASSERT_TRUE(first && second && third);
  EXPECT_EQ(first->first, kDefaultIdPool.first);
  EXPECT_EQ(second->first, kDefaultIdPool.first + kIdsPerContainer);
  EXPECT_EQ(third->count, kIdsPerContainer);
  EXPECT_EQ(*ids.allocate("two"), *second);
  const auto fourth = ids.allocate("four");
  ASSERT_FALSE(fourth);
  EXPECT_EQ(fourth.error().kind(), ErrorKind::kState);
  ASSERT_TRUE(ids.release("two", {}));
  EXPECT_EQ(*ids.allocate("four"), *second);
}

TEST_F(IdPoolTest, RemembersAcrossProcesses) {
  const IdRange first = *pool()->allocate("one");
  EXPECT_EQ(*pool()->allocate("one"), first);
  const auto all = *pool()->list();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].owner, "one");
  EXPECT_EQ(all[0].range, first);
}

TEST_F(IdPoolTest, SkipsWhatTheSubordinateFilesGiveToOthers) {
  write("subuid", "alice:1879048192:1\ncontainers:1879113728:65536\nbulkhead:1879179264:65536\n");
  EXPECT_EQ(pool(kThree)->allocate("one")->first, 1'879'179'264U);
  EXPECT_FALSE(pool(kThree)->allocate("two"));
}

TEST_F(IdPoolTest, SkipsWhatIsNotMappedInAnOuterUserNamespace) {
  write("uid_map", "         0     100000      65536\n  65536 1879048192 131072\n");
  const IdRange inner{65'536, 3 * kIdsPerContainer};
  auto ids = *pool(inner);
  EXPECT_EQ(ids.allocate("one")->first, 65'536U);
  EXPECT_EQ(ids.allocate("two")->first, 131'072U);
  EXPECT_FALSE(ids.allocate("three"));
}

TEST_F(IdPoolTest, RefusesPoolsThatBelongToOthers) {
  EXPECT_TRUE(check_id_pool(kDefaultIdPool));
  EXPECT_FALSE(check_id_pool({0, 131'072}));
  EXPECT_FALSE(check_id_pool({524'288, 65'536}));
  EXPECT_FALSE(check_id_pool({1'879'000'000, 131'072}));
  EXPECT_FALSE(check_id_pool({2'147'352'576, 65'536}));
  EXPECT_FALSE(check_id_pool({2'147'483'648, 65'536}));
  EXPECT_FALSE(check_id_pool({100'000, 65'535}));
  EXPECT_TRUE(check_id_pool({100'000, 65'536}));
}

TEST_F(IdPoolTest, ReadsItsConfigurationStrictly) {
  EXPECT_EQ(*configured_id_pool(path("absent").c_str()), kDefaultIdPool);
  write("conf", "# ours\n\n  200000:131072 # two ranges\n");
  EXPECT_EQ(*configured_id_pool(path("conf").c_str()), (IdRange{200'000, 131'072}));
  for (const char* text : {"200000", "200000:", "200000:131072:1", "a:b",
                           "200000:131072\n300000:65536", "1000:65536"}) {
    write("conf", text);
    EXPECT_FALSE(configured_id_pool(path("conf").c_str())) << text;
  }
}

TEST_F(IdPoolTest, RefusesOwnersThatAreNoFileNames) {
  for (const char* owner : {"", "a/b", "..\n", "a b"})
    EXPECT_FALSE(pool()->allocate(owner)) << owner;
  EXPECT_FALSE(pool()->allocate(std::string(201, 'a')));
  EXPECT_TRUE(pool()->allocate(std::string(200, 'a')));
}

TEST_F(IdPoolTest, KeepsARangeWhileAFileOfItIsLeft) {
  SKIP_UNLESS_ROOT();
  auto ids = *pool();
  const IdRange range = *ids.allocate("one");
  fs::create_directories(folder_ / "volume/a/b");
  const std::string left = path("volume/a/b/left");
  write("volume/a/b/left", "x");
  const Fd place(::open(path("volume").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::array<int, 1> places{place.get()};
  for (const auto& [uid, gid] : {std::pair{range.first + 1000, 0U},
                                 {0U, range.first},
                                 {range.first + 65535, range.first + 5}}) {
    ASSERT_EQ(::lchown(left.c_str(), uid, gid), 0);
    const auto released = ids.release("one", places);
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().kind(), ErrorKind::kState);
    EXPECT_NE(released.error().message().find("./a/b/left"), std::string::npos);
    EXPECT_EQ(ids.list()->size(), 1U);
  }
  ASSERT_EQ(::lchown(left.c_str(), range.first + 65536, 0), 0);
  EXPECT_TRUE(ids.release("one", places));
  EXPECT_TRUE(ids.list()->empty());
  EXPECT_TRUE(ids.release("one", places));  // once more is fine
}

TEST_F(IdPoolTest, DoesNotFollowLinksOutOfAVolume) {
  SKIP_UNLESS_ROOT();
  const IdRange range = *pool()->allocate("one");
  fs::create_directories(folder_ / "volume");
  fs::create_directories(folder_ / "elsewhere");
  ASSERT_EQ(::chown(path("elsewhere").c_str(), range.first, range.first), 0);
  ASSERT_EQ(::symlink(path("elsewhere").c_str(), path("volume/link").c_str()), 0);
  const Fd place(::open(path("volume").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(*find_file_of(place.get(), range), "");
  ASSERT_EQ(::lchown(path("volume/link").c_str(), range.first, 0), 0);
  EXPECT_EQ(*find_file_of(place.get(), range), "./link");
}

TEST_F(IdPoolTest, GivesUpOnATreeThatIsNestedWithoutEnd) {
  fs::path deep = folder_ / "volume";
  for (int i = 0; i < 250; ++i) deep /= "d";
  fs::create_directories(deep);
  const Fd place(::open(path("volume").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(find_file_of(place.get(), kDefaultIdPool));
}

TEST_F(IdPoolTest, NeverGivesOneRangeToTwoOfManyProcesses) {
  constexpr int kProcesses = 16;
  constexpr int kRounds = 20;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto ids = *pool();
      for (int round = 0; round < kRounds; ++round) {
        const std::string owner = std::to_string(i) + "-" + std::to_string(round);
        const auto range = ids.allocate(owner);
        // Every other one is given back, so that ranges change hands.
        if (!range || (round % 2 == 0 && !ids.release(owner, {}))) ::_exit(1);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) EXPECT_TRUE(testing::said_yes(child));
  const auto all = *pool()->list();
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kProcesses * kRounds / 2));
  std::set<std::uint32_t> firsts;
  for (const IdAllocation& allocation : all) firsts.insert(allocation.range.first);
  EXPECT_EQ(firsts.size(), all.size());
}

TEST_F(IdPoolTest, SurvivesProcessesThatAreKilled) {
  for (int i = 0; i < 30; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto ids = *pool();
      for (int round = 0;; ++round) {
        const std::string owner = std::to_string(i) + "-" + std::to_string(round % 5);
        if (round % 3 == 2) (void)ids.release(owner, {});
        (void)ids.allocate(owner);
      }
    }
    ::usleep(static_cast<useconds_t>(500 + 137 * i));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  auto ids = *pool();
  const auto all = *ids.list();
  std::map<std::uint32_t, std::string> owners;
  for (const IdAllocation& allocation : all) {
    EXPECT_TRUE(owners.emplace(allocation.range.first, allocation.owner).second);
    EXPECT_TRUE(ids.release(allocation.owner, {}));
  }
  EXPECT_TRUE(ids.list()->empty());
  EXPECT_TRUE(ids.allocate("next"));
}

}  // namespace
}  // namespace bulkhead::isolation
