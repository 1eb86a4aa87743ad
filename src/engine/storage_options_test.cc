#include "engine/storage_options.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/compose.h"
#include "engine/compose_mounts.h"
#include "engine/storage_record.h"
#include "engine/wish.h"

namespace bulkhead::engine {
namespace {

using storage::LayerForm;
using storage::LimitMethod;
using Reading = storage::Layers::Reading;

TEST(StorageOptions, AreDirectoriesWithoutALimitByDefault) {
  const auto choices = read_storage_options("overlay", {});
  ASSERT_TRUE(choices);
  EXPECT_EQ(choices->layers, storage::Layers{});
  EXPECT_FALSE(choices->size);
}

TEST(StorageOptions, AreReadAsDockersUsersWriteThem) {
  const auto choices = read_storage_options("overlay", {"size=1G"});
  ASSERT_TRUE(choices);
  EXPECT_EQ(choices->size, std::uint64_t{1} << 30);
  EXPECT_FALSE(choices->size_method);
  EXPECT_FALSE(read_storage_options("overlay", {"size=1g", "size=0"})->size) << "0 is no limit";
  EXPECT_EQ(read_storage_options("overlay", {"size=10000001"})->size, 9'998'336U)
      << "whole blocks, and never more than was asked for";
}

TEST(StorageOptions, ChooseTheWay) {
  const auto erofs = read_storage_options("erofs", {"directio", "size=64m", "limit=image"});
  ASSERT_TRUE(erofs) << erofs.error().message();
  EXPECT_EQ(erofs->layers.form, LayerForm::kErofs);
  EXPECT_EQ(erofs->layers.reading, Reading::kDirect);
  EXPECT_EQ(erofs->size_method, LimitMethod::kImageFile);
  EXPECT_EQ(read_storage_options("erofs", {"directio=false"})->layers.reading, Reading::kCached);
}

TEST(StorageOptions, NameWhatIsWrong) {
  struct Case {
    const char* storage;
    std::vector<std::string> options;
    const char* word;
  };
  for (const Case& wrong : std::vector<Case>{{"zfs", {}, "zfs"},
                                             {"", {}, "--storage"},
                                             {"overlay", {"size"}, "size"},
                                             {"overlay", {"size=-1"}, "size=-1"},
                                             {"overlay", {"size=7m"}, "too small"},
                                             {"overlay", {"size=99999999999g"}, "size="},
                                             {"overlay", {"limit=image"}, "size="},
                                             {"overlay", {"size=1g", "limit=luck"}, "luck"},
                                             {"overlay", {"directio"}, "erofs"},
                                             {"erofs", {"directio=yes"}, "yes"},
                                             {"overlay", {"dm.basesize=1g"}, "dm.basesize"}}) {
    const auto choices = read_storage_options(wrong.storage, wrong.options);
    ASSERT_FALSE(choices) << wrong.word;
    EXPECT_EQ(choices.error().kind(), ErrorKind::kUsage);
    EXPECT_NE(choices.error().message().find(wrong.word), std::string::npos)
        << choices.error().message();
  }
}

TEST(StorageRecords, AreReadBack) {
  StorageRecord record;
  EXPECT_TRUE(record.is_default());
  record.layers = {LayerForm::kErofs, Reading::kDirect};
  record.limit = {std::uint64_t{5} << 30, LimitMethod::kProjectQuota};
  record.first_uid = HostUid(4'000'000'000);
  EXPECT_FALSE(record.is_default());
  const auto read = decode_storage_record(encode(record));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->layers, record.layers);
  ASSERT_TRUE(read->limit);
  EXPECT_EQ(read->limit->bytes, record.limit->bytes);
  EXPECT_EQ(read->limit->method, record.limit->method);
  EXPECT_EQ(read->first_uid, record.first_uid);
}

TEST(StorageRecords, OfOthersAreRefused) {
  for (const char* text :
       {"", "{}", "[]", R"({"storage":"zfs","directIo":false,"firstUid":1})",
        R"({"storage":"overlay","directIo":false,"firstUid":-1})",
        R"({"storage":"overlay","directIo":false,"firstUid":4294967296})",
        R"({"storage":"overlay","directIo":false,"firstUid":1,"sizeLimit":5})",
        R"({"storage":"overlay","directIo":false,"firstUid":1,"sizeLimit":5,"sizeLimitBy":"x"})"})
    EXPECT_FALSE(decode_storage_record(text)) << text;
}

TEST(Init, StandsBeforeTheProgramInADevOfTheContainersOwn) {
  RunOptions options;
  options.init = true;
  options.command = {"true"};
  const auto wish = read_wish(options);
  ASSERT_TRUE(wish);
  Circumstances circumstances;
  circumstances.id = std::string(64, 'a');
  circumstances.host_memory = 1 << 30;
  circumstances.init = "/opt/bulkhead-init";
  const auto mounts = compose_mounts(*wish, circumstances);
  EXPECT_EQ(mounts.back().destination, kInitPath);
  EXPECT_EQ(mounts.back().source, "/opt/bulkhead-init");
  EXPECT_NE(std::ranges::find(mounts.back().options, "ro"), mounts.back().options.end());
  const auto composed = compose(*wish, {}, circumstances);
  ASSERT_TRUE(composed) << composed.error().message();
  EXPECT_EQ(composed->spec.process->args, (std::vector<std::string>{"/dev/init", "true"}));
}

TEST(Init, IsProcess1OrNotAtAll) {
  RunOptions options;
  options.init = true;
  options.pid_namespace = "host";
  options.user_namespace = "host";
  EXPECT_FALSE(read_wish(options));
  options.init = false;
  EXPECT_TRUE(read_wish(options));
}

TEST(Init, LetsNobodyElseProvideItsPlace) {
  for (const char* destination : {"/dev", "/dev/", "/dev/init"}) {
    RunOptions options;
    options.init = true;
    options.tmpfs = {destination};
    EXPECT_FALSE(read_wish(options)) << destination;
    options.tmpfs = {"/devices"};
    EXPECT_TRUE(read_wish(options));
    options.tmpfs.clear();
    options.volumes = {"/srv:" + std::string(destination)};
    EXPECT_FALSE(read_wish(options)) << destination;
    options.init = false;
    EXPECT_TRUE(read_wish(options));
  }
}

}  // namespace
}  // namespace bulkhead::engine
