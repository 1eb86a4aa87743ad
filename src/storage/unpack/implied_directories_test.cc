#include "storage/unpack/implied_directories.h"

#include <gtest/gtest.h>
#include <locale.h>
#include <signal.h>
#include <sys/xattr.h>

#include <cstdlib>

#include "storage/collect.h"
#include "storage/store_lock.h"
#include "storage/unpack/check.h"
#include "storage/unpack/import.h"
#include "storage/unpack/layout_testing.h"
#include "storage/unpack/testing.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

using testing::Layout;
using testing::plain_layer;
using testing::TarWriter;

struct NoConfinement final : Confinement {
  Result<void> enter(WorkerKind) override { return {}; }
};

class ImpliedDirectories : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ::setlocale(LC_CTYPE, "C.UTF-8");
    ::signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/bulkhead-implied-XXXXXX";
    top_ = ::mkdtemp(name);
    ASSERT_EQ(::mkdir((top_ + "/store").c_str(), 0700), 0);
  }
  void TearDown() override {
    if (!top_.empty()) (void)remove_tree_at(AT_FDCWD, top_.c_str());
  }

  // The image of these tars, the lowest first.
  ImageRecord imported(const std::vector<std::string>& tars) {
    std::vector<testing::LayoutLayer> layers;
    layers.reserve(tars.size());
    for (const std::string& tar : tars) layers.push_back(plain_layer(tar));
    const std::string source = top_ + "/layout" + std::to_string(count_++);
    Layout(source, std::move(layers)).write();
    NoConfinement confinement;
    const auto done = import_image({top_ + "/store", source, {}}, confinement);
    EXPECT_TRUE(done) << done.error().message();
    const auto store = Store::open(top_ + "/store");
    const auto record = store->find({source, {}, source});
    EXPECT_TRUE(record && *record);
    return record && *record ? **record : ImageRecord{};
  }
  std::string in_layer(const std::string& layer, const std::string& path) const {
    return top_ + "/store/layers/" + layer + "/" + path;
  }
  struct stat status_of(const std::string& path) const {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status;
  }

  std::string top_;
  int count_ = 0;
};

std::string lower() {
  return TarWriter()
      .add({.name = "private",
            .type = '5',
            .mode = 0700,
            .uid = 7,
            .gid = 8,
            .pax = {{"SCHILY.xattr.user.note", "kept"}}})
      .add({.name = "private/deep", .type = '5', .mode = 02750, .uid = 9})
      .finish();
}

TEST_F(ImpliedDirectories, AreAsALayerBelowHasThem) {
  const auto record = imported({lower(), TarWriter().file("private/deep/file", "x").finish()});
  ASSERT_FALSE(record.implied.empty());
  EXPECT_EQ(lower_paths(record).front(), "layers/" + record.implied);
  const auto outer = status_of(in_layer(record.implied, "private"));
  EXPECT_EQ(outer.st_mode & 07777, 0700U);
  EXPECT_EQ(outer.st_uid, 7U);
  EXPECT_EQ(outer.st_gid, 8U);
  EXPECT_EQ(outer.st_mtim.tv_sec, 1'000'000'000);
  char note[8] = {};
  EXPECT_EQ(::getxattr(in_layer(record.implied, "private").c_str(), "user.note", note, 8), 4);
  const auto inner = status_of(in_layer(record.implied, "private/deep"));
  EXPECT_EQ(inner.st_mode & 07777, 02750U);
  EXPECT_EQ(inner.st_uid, 9U);
  // The layer itself, which may be another image's as well, stays as it is.
  EXPECT_EQ(status_of(in_layer(record.layers[1], "private")).st_uid, 0U);
  EXPECT_NE(::access(in_layer(record.implied, "private/deep/file").c_str(), F_OK), 0);
}

TEST_F(ImpliedDirectories, BelongToTheImageAndNotToTheLayer) {
  const std::string upper = TarWriter().file("private/file", "x").finish();
  const auto one = imported({lower(), upper});
  const auto other = imported(
      {TarWriter().add({.name = "private", .type = '5', .mode = 0711, .uid = 70}).finish(), upper});
  const auto alone = imported({upper});
  EXPECT_NE(one.implied, other.implied);
  EXPECT_EQ(status_of(in_layer(one.implied, "private")).st_uid, 7U);
  EXPECT_EQ(status_of(in_layer(other.implied, "private")).st_uid, 70U);
  EXPECT_TRUE(alone.implied.empty());
  EXPECT_EQ(one.layers[1], alone.layers[0]);
}

TEST_F(ImpliedDirectories, NeedNoLayerWhereEachHasItsEntry) {
  const auto record =
      imported({lower(), TarWriter().directory("private").file("private/file", "x").finish()});
  EXPECT_TRUE(record.implied.empty());
}

TEST_F(ImpliedDirectories, TakeTheTopDirectoryFromBelow) {
  const std::string base = TarWriter().directory("./", 0555).finish();
  const std::string upper = TarWriter().file("file", "x").finish();
  const auto record = imported({base, upper});
  ASSERT_FALSE(record.implied.empty());
  EXPECT_EQ(status_of(in_layer(record.implied, ".")).st_mode & 07777, 0555U);
  // With a usual mode there is nothing to take over, whatever its time.
  EXPECT_TRUE(imported({TarWriter().directory("./", 0755).finish(), upper}).implied.empty());
}

TEST_F(ImpliedDirectories, TakeNothingFromWhatIsHidden) {
  const std::string file = TarWriter().file("private/deep/file", "x").finish();
  EXPECT_TRUE(
      imported({lower(), TarWriter().file(".wh.private", "").finish(), file}).implied.empty());
  EXPECT_TRUE(
      imported({lower(), TarWriter().file("private", "a file").finish(), file}).implied.empty());
  // Of two directories on the way the upper one is opaque, and has an entry.
  const auto opaque = imported(
      {lower(), TarWriter().directory("private", 0711).file("private/.wh..wh..opq", "").finish(),
       file});
  ASSERT_FALSE(opaque.implied.empty());
  EXPECT_EQ(status_of(in_layer(opaque.implied, "private")).st_mode & 07777, 0711U);
  EXPECT_NE(::access(in_layer(opaque.implied, "private/deep").c_str(), F_OK), 0);
  // What a later layer has removed is in no image.
  EXPECT_TRUE(
      imported({lower(), file, TarWriter().file(".wh.private", "").finish()}).implied.empty());
}

TEST_F(ImpliedDirectories, StayWithTheImageAndGoWithIt) {
  const auto record = imported({lower(), TarWriter().file("private/file", "x").finish()});
  const auto store = Store::open(top_ + "/store");
  ASSERT_TRUE(collect(*store, *lock_store(store->get(), StoreAccess::kRemove)));
  EXPECT_EQ(::access(in_layer(record.implied, "private").c_str(), F_OK), 0);
  NoConfinement confinement;
  const auto whole = check_store(top_ + "/store", {}, confinement);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(whole->problems.empty()) << whole->problems.front();
  // A directory that has changed is noticed, and with the layer gone the image is made anew.
  ASSERT_EQ(::chmod(in_layer(record.implied, "private").c_str(), 0777), 0);
  const auto changed = check_store(top_ + "/store", {.repair = true}, confinement);
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->problems.size(), 1U);
  EXPECT_FALSE(store->has_layers(record));

  CollectOptions all;
  all.sources = true;
  ASSERT_TRUE(collect(*store, *lock_store(store->get(), StoreAccess::kRemove), all));
  EXPECT_NE(::access(in_layer(record.implied, ".").c_str(), F_OK), 0);
}

// What the extractor says of its layer is a stranger's word.
TEST(TreeRecords, TakeNoPathThatLeadsOut) {
  for (const char* path : {"", "a", "a/b", "..a", "a/..b"}) EXPECT_TRUE(is_layer_path(path));
  for (const char* path : {"/", "/a", "..", "a/..", "a/../b", "./a", "a//b", "a/"})
    EXPECT_FALSE(is_layer_path(path)) << path;
  TreeRecord record{3, 5, std::string(64, 'a')};
  record.implied = {"", "a", "a/b\n"};
  const auto read = decode_tree_record(encode(record));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, record);
  record.implied = {"a/../../b"};
  EXPECT_FALSE(decode_tree_record(encode(record)));
}

}  // namespace
}  // namespace bulkhead::storage
