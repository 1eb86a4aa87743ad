#include "engine/container_volumes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "sys/tree.h"
#include "volumes/volumes.h"

namespace bulkhead::engine {
namespace {

class ContainerVolumes : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(place_), nullptr);
    ASSERT_EQ(::chmod(place_, 0700), 0);
    options_.root = place_;
  }
  void TearDown() override { (void)remove_tree_at(AT_FDCWD, place_); }

  storage::Store store() const { return storage::Store::open(place_).value(); }
  // The wish with what the image adds.
  Result<Wish> wish(const RunOptions& given, const oci::ImageConfig& image) const {
    TRY_ASSIGN(Wish made, read_wish(given));
    TRY(add_inherited_volumes(options_, store(), image, made));
    return made;
  }
  static oci::ImageConfig image_with(std::initializer_list<const char*> places) {
    oci::ImageConfig image;
    for (const char* const place : places) image.config.volumes.try_emplace(place);
    return image;
  }

  char place_[40] = "/tmp/container-volumes-test-XXXXXX";
  StoreOptions options_;
};

TEST_F(ContainerVolumes, AddTheImagesOwnWhereNothingElseIs) {
  RunOptions options;
  options.volumes = {"data:/data/", "/srv:/srv"};
  options.tmpfs = {"/tmp"};
  const auto made = wish(options, image_with({"/data", "srv", "/tmp/", "/", "/own"}));
  ASSERT_TRUE(made) << made.error().message();
  ASSERT_EQ(made->volumes.size(), 3U);
  EXPECT_EQ(made->volumes[0].destination, "/data");
  EXPECT_TRUE(made->volumes[0].kept_here);
  EXPECT_EQ(made->volumes[0].source, std::string(place_) + "/volumes/data/_data");
  EXPECT_FALSE(made->volumes[1].is_volume);
  EXPECT_EQ(made->volumes[2].destination, "/own");
  EXPECT_TRUE(made->volumes[2].anonymous);
  EXPECT_TRUE(volumes::list(store().get())->empty()) << "nothing is made yet";
  EXPECT_FALSE(wish(options, image_with({"/a/../../b"})));
}

TEST_F(ContainerVolumes, OfUntrustedImagesAreSmallAndInMemory) {
  RunOptions options;
  options.preset = "untrusted";
  const auto made = wish(options, image_with({"/data"}));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(made->volumes.empty());
  const auto found = std::ranges::find(made->tmpfs, "/data", &TmpfsMount::destination);
  ASSERT_NE(found, made->tmpfs.end());
  EXPECT_EQ(found->options.front(), "size=64m");
}

TEST_F(ContainerVolumes, OfTheHostAreSeenAsWhatTheyAre) {
  volumes::Volume bound;
  bound.name = "bound";
  bound.options = {{"type", "none"}, {"o", "bind,ro,noexec"}, {"device", place_}};
  ASSERT_TRUE(volumes::create(store().get(), bound));
  RunOptions options;
  options.volumes = {"bound:/b"};
  const auto made = wish(options, {});
  ASSERT_TRUE(made) << made.error().message();
  const Volume& volume = made->volumes.front();
  EXPECT_EQ(volume.source, place_);
  EXPECT_FALSE(volume.kept_here) << "the host's policy judges it as a bind";
  EXPECT_TRUE(volume.read_only);
  EXPECT_FALSE(volume.recursive);
  EXPECT_EQ(volume.further_options, (std::vector<std::string>{"noexec"}));
  options.volumes.clear();
  options.mounts = {"source=bound,target=/b,volume-subpath=sub"};
  EXPECT_FALSE(wish(options, {})) << "no path of the host is put together for it";
}

TEST_F(ContainerVolumes, AreRememberedInTheRecord) {
  RunOptions options;
  options.volumes = {"data:/data:ro,nocopy,noexec"};
  options.mounts = {"type=bind,source=/srv,target=/s,bind-recursive=disabled,idmap=false"};
  const auto made = wish(options, {});
  ASSERT_TRUE(made) << made.error().message();
  ContainerRecord record;
  record.id = "i";
  record.arguments = {"true"};
  record.mounts = mounts_of(*made);
  const auto read = decode_container_record(encode(record));
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->mounts.size(), 2U);
  const MountRecord& volume = read->mounts[0];
  EXPECT_TRUE(volume.is_volume && volume.kept_here && volume.read_only && volume.no_copy);
  EXPECT_EQ(volume.name, "data");
  EXPECT_EQ(volume.options, (std::vector<std::string>{"noexec"}));
  EXPECT_FALSE(read->mounts[1].is_volume || read->mounts[1].recursive || read->mounts[1].id_mapped);
  EXPECT_EQ(read->mounts[1].source, "/srv");
}

}  // namespace
}  // namespace bulkhead::engine
