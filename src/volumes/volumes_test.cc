#include "volumes/volumes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "storage/store.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/tree.h"
#include "volumes/fill.h"
#include "volumes/memory.h"
#include "volumes/space.h"

namespace bulkhead::volumes {
namespace {

class VolumesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(place_), nullptr);
    ASSERT_EQ(::chmod(place_, 0700), 0);
    auto opened = storage::Store::open(place_);
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = Fd(::fcntl(opened->get(), F_DUPFD_CLOEXEC, 0));
  }
  void TearDown() override { (void)remove_tree_at(AT_FDCWD, place_); }

  int store() const { return store_.get(); }
  static Volume named(std::string name, Words options = {}, Words labels = {}) {
    Volume volume;
    volume.name = std::move(name);
    volume.options = std::move(options);
    volume.labels = std::move(labels);
    return volume;
  }
  void make_container(const std::string& id) const {
    (void)::mkdirat(store(), "containers", 0700);
    ASSERT_EQ(::mkdirat(store(), ("containers/" + id).c_str(), 0700), 0);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found = list_directory(store(), kVolumes).value();
    std::ranges::sort(found);
    return found;
  }

  char place_[32] = "/tmp/volumes-test-XXXXXX";
  Fd store_;
};

using Names = std::vector<std::string>;

TEST_F(VolumesTest, AreMadeFoundListedAndRemoved) {
  ASSERT_TRUE(create(store(), named("data", {}, {{"a", "b"}})));
  ASSERT_TRUE(create(store(), named("cache")));
  const auto found = find(store(), "data");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->labels, (Words{{"a", "b"}}));
  EXPECT_EQ(found->created.size(), 20U);
  const auto all = list(store());
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ((*all)[0].name, "cache");
  EXPECT_TRUE(remove(store(), "data"));
  EXPECT_EQ(find(store(), "data").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(remove(store(), "data").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(names(), (Names{"cache"}));
}

TEST_F(VolumesTest, StayAsTheyAreUnlessSomethingElseIsAskedFor) {
  ASSERT_TRUE(create(store(), named("data", {}, {{"a", "b"}})));
  EXPECT_TRUE(create(store(), named("data")));
  EXPECT_TRUE(create(store(), named("data", {}, {{"a", "b"}})));
  EXPECT_EQ(create(store(), named("data", {}, {{"a", "c"}})).error().kind(), ErrorKind::kExists);
  EXPECT_EQ(create(store(), named("data", {{"size", "1g"}})).error().kind(), ErrorKind::kExists);
  EXPECT_EQ(names(), (Names{"data"}));
}

TEST_F(VolumesTest, HaveNamesThatAreNoPaths) {
  for (const char* name : {"", "a", ".", "..", "../x", "a/b", "/abs", ".hidden", "-flag", "a b",
                           "a\nb", "a\x1b[31m", "_data/..", "\xc3\xa9\xc3\xa9"})
    EXPECT_EQ(create(store(), named(name)).error().kind(), ErrorKind::kUsage) << name;
  EXPECT_FALSE(create(store(), named(std::string("a\0b", 3))));
  EXPECT_FALSE(create(store(), named(std::string(256, 'a'))));
  EXPECT_TRUE(create(store(), named(std::string(255, 'a'))));
  EXPECT_EQ(find(store(), "../volumes").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(remove(store(), "..").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(VolumesTest, InUseAreNotRemoved) {
  const std::string id(64, 'c');
  make_container(id);
  Volume own = named("own");
  own.labels.emplace(kAnonymousLabel, "");
  ASSERT_TRUE(use(store(), id, {named("data"), own}));
  const auto refused = remove(store(), "data");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kState);
  EXPECT_NE(refused.error().message().find(id.substr(0, 12)), std::string::npos);
  const auto uses = used_by(store(), id);
  ASSERT_TRUE(uses);
  ASSERT_EQ(uses->size(), 2U);
  EXPECT_FALSE((*uses)[0].anonymous);
  EXPECT_TRUE((*uses)[1].anonymous);
  EXPECT_TRUE(remove(store(), "own", id)) << "the container itself takes it away";
  ASSERT_TRUE(remove_tree_at(store(), ("containers/" + id).c_str()));
  EXPECT_TRUE(remove(store(), "data"));
}

TEST_F(VolumesTest, BeingFilledAreNotRemoved) {
  ASSERT_TRUE(create(store(), named("data")));
  {
    const auto space = open_space(store(), named("data"), Access::kRead);
    ASSERT_TRUE(space) << space.error().message();
    EXPECT_EQ(remove(store(), "data").error().kind(), ErrorKind::kState);
  }
  EXPECT_TRUE(remove(store(), "data"));
}

TEST_F(VolumesTest, WhatKilledProcessesLeftIsSweptAndWhatOthersDoIsNot) {
  ASSERT_TRUE(create(store(), named("data")));
  for (const char* left : {"volumes/.new-dead", "volumes/.gone-dead", "volumes/.new-alive"})
    ASSERT_EQ(::mkdirat(store(), left, 0700), 0);
  const auto alive = open_at(store(), "volumes/.new-alive", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(alive && lock_exclusive(alive->get()));
  ASSERT_TRUE(list(store()));
  EXPECT_EQ(list(store())->size(), 1U) << "nothing unfinished is a volume";
  ASSERT_TRUE(sweep(store()));
  EXPECT_EQ(names(), (Names{".new-alive", "data"}));
}

TEST_F(VolumesTest, AFillingThatWasWholeIsEndedAndOneThatWasNotIsForgotten) {
  ASSERT_TRUE(create(store(), named("data")));
  for (const char* left : {"volumes/data/.filling-1", "volumes/data/.filled"})
    ASSERT_EQ(::mkdirat(store(), left, 0755), 0);
  for (const char* file : {"volumes/data/.filling-1/half", "volumes/data/.filled/whole"})
    ASSERT_TRUE(open_at(store(), file, O_WRONLY | O_CREAT, 0600));
  const auto space = open_space(store(), named("data"), Access::kRead);
  ASSERT_TRUE(space) << space.error().message();
  EXPECT_EQ(list_directory(space->data.get(), ".").value(), (Names{"whole"}));
  EXPECT_EQ(list_directory(space->root.get(), ".").value().size(), 2U);
}

TEST_F(VolumesTest, AFillingThatFailsLeavesNothing) {
  ASSERT_TRUE(create(store(), named("data")));
  const auto space = open_space(store(), named("data"), Access::kFill);
  ASSERT_TRUE(space);
  const auto filled = fill(space->root.get(), space->data.get(), [](int directory) -> Result<void> {
    (void)open_at(directory, "half", O_WRONLY | O_CREAT, 0600);
    return fail(ErrorKind::kSystem, "no space");
  });
  EXPECT_FALSE(filled);
  EXPECT_TRUE(is_empty(space->data.get()).value());
  EXPECT_FALSE(is_filling(space->root.get()).value());
}

TEST_F(VolumesTest, WhatSomebodyHasPutThereMeanwhileStays) {
  ASSERT_TRUE(create(store(), named("data")));
  const auto space = open_space(store(), named("data"), Access::kFill);
  ASSERT_TRUE(space);
  ASSERT_TRUE(fill(space->root.get(), space->data.get(), [&](int directory) -> Result<void> {
    EXPECT_EQ(::symlinkat("/etc", space->data.get(), "theirs"), 0);
    EXPECT_EQ(::mkdirat(directory, "theirs", 0755), 0);
    EXPECT_TRUE(open_at(directory, "theirs/ours", O_WRONLY | O_CREAT, 0600));
    return {};
  }));
  char text[8] = {};
  EXPECT_EQ(::readlinkat(space->data.get(), "theirs", text, sizeof text), 4);
  EXPECT_NE(::access("/etc/ours", F_OK), 0) << "nothing goes through a link of theirs";
}

TEST_F(VolumesTest, PathsInThemLeadNowhereElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  ASSERT_TRUE(create(store(), named("data")));
  ASSERT_EQ(::mkdirat(store(), "volumes/data/_data/sub", 0755), 0);
  ASSERT_EQ(::symlinkat("/etc", store(), "volumes/data/_data/out"), 0);
  ASSERT_EQ(::symlinkat("sub", store(), "volumes/data/_data/in"), 0);
  EXPECT_TRUE(mount_of(store(), named("data"), ""));
  EXPECT_TRUE(mount_of(store(), named("data"), "sub"));
  for (const char* path : {"out", "in", "out/passwd", "../..", "sub/../.."})
    EXPECT_EQ(mount_of(store(), named("data"), path).error().kind(), ErrorKind::kInvalid) << path;
  EXPECT_EQ(mount_of(store(), named("data"), "none").error().kind(), ErrorKind::kNotFound);
}

TEST_F(VolumesTest, InMemoryLastAsLongAsSomebodyLives) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  const std::string one(64, '1');
  const std::string two(64, '2');
  const Volume wanted = named("fast", {{"type", "tmpfs"}, {"o", "size=1m,uid=5,mode=0700"}});
  for (const std::string& id : {one, two}) {
    make_container(id);
    ASSERT_TRUE(use(store(), id, {wanted}));
  }
  const auto mounted = [&] {
    const auto directory = open_at(store(), "volumes/fast", O_RDONLY | O_DIRECTORY);
    return directory && is_in_memory(directory->get()).value_or(false);
  };
  {
    const auto space = open_space(store(), wanted, Access::kFill);
    ASSERT_TRUE(space) << space.error().message();
    EXPECT_TRUE(open_at(space->data.get(), "file", O_WRONLY | O_CREAT, 0600));
    struct stat status{};
    ASSERT_EQ(::fstat(space->data.get(), &status), 0);
    EXPECT_EQ(status.st_uid, 5U);
    EXPECT_EQ(status.st_mode & 07777, 0700U);
  }
  ASSERT_TRUE(mount_of(store(), wanted, "file"));
  ASSERT_TRUE(release_memory(store(), one, [&](const std::string& id) { return id == two; }));
  EXPECT_TRUE(mounted());
  ASSERT_TRUE(release_memory(store(), two, [](const std::string&) { return false; }));
  EXPECT_FALSE(mounted());
  {
    const auto again = open_space(store(), wanted, Access::kRead);
    ASSERT_TRUE(again);
    EXPECT_TRUE(is_empty(again->data.get()).value()) << "it is another one";
  }
  ASSERT_TRUE(remove_tree_at(store(), "containers"));
  EXPECT_TRUE(remove(store(), "fast")) << "and goes while it is mounted";
}

TEST_F(VolumesTest, ANameIsTakenByOneOfMany) {
  constexpr int kMany = 8;
  pid_t children[kMany];
  for (pid_t& child : children) {
    child = ::fork();
    if (child != 0) continue;
    // Each makes, finds and removes; whatever the order, no call meets half a volume.
    for (int round = 0; round < 20; ++round) {
      const auto made = create(store(), named("data"));
      const auto removed = remove(store(), "data");
      const auto found = find(store(), "data");
      const auto fine = [](const auto& result) {
        return result || result.error().kind() == ErrorKind::kNotFound ||
               result.error().kind() == ErrorKind::kState;
      };
      if (!made || !fine(removed) || !fine(found)) ::_exit(1);
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  ASSERT_TRUE(sweep(store()));
  EXPECT_TRUE(names().empty());
}

TEST(VolumeOptions, AreUnderstoodOrRefused) {
  EXPECT_EQ(read_options({})->kind, Kind::kDirectory);
  EXPECT_EQ(read_options({{"size", "0"}})->kind, Kind::kDirectory);
  EXPECT_EQ(read_options({{"size", "64MiB"}})->bytes, 64U << 20);
  EXPECT_EQ(read_options({{"size", "1g"}})->kind, Kind::kImage);
  const auto bind = read_options({{"type", "none"}, {"o", "rbind,ro,noexec"}, {"device", "/srv"}});
  ASSERT_TRUE(bind) << bind.error().message();
  EXPECT_EQ(bind->kind, Kind::kBind);
  EXPECT_EQ(bind->device, "/srv");
  EXPECT_TRUE(bind->recursive && bind->read_only);
  EXPECT_EQ(bind->mount_options, (Names{"noexec"}));
  const std::vector<Words> refused = {{{"size", "1"}},
                                      {{"size", "x"}},
                                      {{"size", "99999999999g"}},
                                      {{"size", "1g"}, {"type", "none"}},
                                      {{"type", "none"}, {"device", "/srv"}},
                                      {{"type", "none"}, {"o", "bind"}},
                                      {{"type", "none"}, {"o", "bind"}, {"device", "srv"}},
                                      {{"type", "none"}, {"o", "bind,suid"}, {"device", "/srv"}},
                                      {{"type", "none"}, {"o", "bind,shared"}, {"device", "/srv"}},
                                      {{"o", "bind"}, {"device", "/srv"}},
                                      {{"banana", "1"}}};
  for (const Words& words : refused) {
    const auto meaning = read_options(words);
    EXPECT_FALSE(meaning) << words.begin()->first << "=" << words.begin()->second;
    if (!meaning) {
      EXPECT_EQ(meaning.error().kind(), ErrorKind::kUsage);
    }
  }
  const auto memory = read_options(
      {{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m,uid=7,gid=8,mode=0750,noexec"}});
  ASSERT_TRUE(memory) << memory.error().message();
  EXPECT_EQ(memory->kind, Kind::kMemory);
  EXPECT_EQ(memory->memory.bytes, 1U << 20);
  EXPECT_EQ(memory->memory.uid, 7U);
  EXPECT_EQ(memory->memory.gid, 8U);
  EXPECT_EQ(memory->memory.mode, 0750U);
  for (const char* words : {"size=x", "size=0", "uid=-1", "uid=65536", "mode=9", "suid", "bind"})
    EXPECT_FALSE(read_options({{"type", "tmpfs"}, {"o", words}})) << words;
  EXPECT_FALSE(read_options({{"type", "tmpfs"}, {"device", "/dev/sda"}}));
  for (const char* type : {"nfs", "cifs", "ext4", "overlay"}) {
    const auto meaning = read_options({{"type", type}, {"device", "x"}, {"o", "rw"}});
    ASSERT_FALSE(meaning);
    EXPECT_EQ(meaning.error().kind(), ErrorKind::kUnsupported);
    EXPECT_NE(meaning.error().hint().find("--"), std::string::npos) << "what to use instead";
  }
}

TEST(VolumeRecord, IsReadAsItWasWritten) {
  Volume volume;
  volume.name = "data";
  volume.created = "2024-05-01T10:00:00Z";
  volume.labels = {{"a", "\"\n"}, {"b", ""}};
  volume.options = {{"size", "1g"}};
  const auto read = decode_volume(encode(volume));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->name, volume.name);
  EXPECT_EQ(read->labels, volume.labels);
  EXPECT_EQ(read->options, volume.options);
  for (const char* text : {"", "{}", "[]", R"({"name":"../x"})", R"({"name":7})"})
    EXPECT_FALSE(decode_volume(text)) << text;
}

}  // namespace
}  // namespace bulkhead::volumes
