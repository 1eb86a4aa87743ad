#include "storage/ingest.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <optional>

#include "storage/collect.h"
#include "storage/images.h"
#include "storage/store_lock.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

std::string hex(char c) { return std::string(64, c); }

class Ingesting : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-ingest-XXXXXX";
    top_ = ::mkdtemp(name);
    auto store = Store::open(top_);
    ASSERT_TRUE(store);
    store_.emplace(*std::move(store));
  }
  void TearDown() override { (void)remove_tree_at(AT_FDCWD, top_.c_str()); }

  bool there(const std::string& path) const {
    return ::faccessat(store_->get(), path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  }
  // An image of one layer, all of it made of one letter.
  static ImageRecord record_of(char c) {
    ImageRecord record;
    record.manifest_digest = hex(c);
    record.config_digest = hex(static_cast<char>(c + 1));
    record.layers = {hex(c)};
    record.blobs = {hex(c)};
    record.config = "{}";
    return record;
  }
  Result<void> add(Ingest& ingest, char c, const std::vector<Reference>& names) {
    const ImageRecord record = record_of(c);
    TRY(ingest.add_blob(record.manifest_digest, "manifest"));
    TRY(ingest.add_blob(record.config_digest, "config"));
    TRY(ingest.new_layer(record.layers[0]));
    TRY(ingest.publish());
    return ingest.add_image(record, names);
  }
  Result<Collected> collect_all(const CollectOptions& options = {}) {
    TRY_ASSIGN(Fd lock, lock_store(store_->get(), StoreAccess::kRemove));
    return collect(*store_, std::move(lock), options);
  }

  std::string top_;
  std::optional<Store> store_;
};

Reference ref(const std::string& text) { return *parse_reference(text); }

TEST_F(Ingesting, GivesPlacesOnlyToWhatIsPublished) {
  auto ingest = Ingest::begin(*store_);
  ASSERT_TRUE(ingest) << ingest.error().message();
  ASSERT_TRUE(ingest->add_blob(hex('a'), "content"));
  ASSERT_TRUE(ingest->new_layer(hex('b')));
  EXPECT_FALSE(there(blob_path(hex('a'))) || there(layer_path(hex('b'))));
  ASSERT_TRUE(ingest->publish());
  EXPECT_TRUE(there(blob_path(hex('a'))) && there(layer_path(hex('b'))));
}

TEST_F(Ingesting, LeavesNothingWhenItIsGivenUp) {
  {
    auto ingest = Ingest::begin(*store_);
    ASSERT_TRUE(ingest->add_blob(hex('a'), "content"));
    ASSERT_TRUE(*ingest->claim_layer(hex('b'), Ingest::Patience::kTry));
  }
  for (const char* place : {kStaging, kClaims, kBlobs})
    EXPECT_TRUE(list_directory(store_->get(), place)->empty()) << place;
}

TEST_F(Ingesting, NamesComeLastAndLeadToTheWhole) {
  auto ingest = Ingest::begin(*store_);
  ASSERT_TRUE(add(*ingest, 'a', {ref("x"), ref("y:1")}));
  const auto found = store_->find_name(ref("y:1"));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->manifest_digest, hex('a'));
  EXPECT_TRUE(store_->has_layers(**found));
}

TEST_F(Ingesting, WhatItHoldsIsNotCollected) {
  auto ingest = Ingest::begin(*store_);
  ASSERT_TRUE(ingest->add_blob(hex('a'), "content"));
  ASSERT_TRUE(ingest->publish());
  auto other = Ingest::begin(*store_);
  EXPECT_TRUE(*other->hold_blob(hex('a')));
  {
    const Ingest gone = *std::move(ingest);
  }
  ASSERT_TRUE(collect_all());
  EXPECT_TRUE(there(blob_path(hex('a')))) << "the second one holds it";
  {
    const Ingest gone = *std::move(other);
  }
  ASSERT_TRUE(collect_all());
  EXPECT_FALSE(there(blob_path(hex('a'))));
}

TEST_F(Ingesting, WhatAKilledOneHeldIsCollected) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto ingest = Ingest::begin(*store_);
    const bool done = ingest && ingest->add_blob(hex('a'), "content") && ingest->publish() &&
                      ingest->new_layer(hex('b'));
    (void)::raise(done ? SIGKILL : SIGTERM);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(list_directory(store_->get(), kStaging)->size(), 1U);
  ASSERT_TRUE(collect_all());
  for (const char* place : {kStaging, "trash/spare", kBlobs})
    EXPECT_TRUE(list_directory(store_->get(), place)->empty()) << place;
  EXPECT_EQ(list_directory(store_->get(), kTrash)->size(), 1U);
}

TEST_F(Ingesting, ALayerIsMadeByOneAtATime) {
  auto first = Ingest::begin(*store_);
  auto second = Ingest::begin(*store_);
  EXPECT_TRUE(*first->claim_layer(hex('a'), Ingest::Patience::kTry));
  EXPECT_TRUE(*first->claim_layer(hex('a'), Ingest::Patience::kTry)) << "it has it already";
  EXPECT_FALSE(*second->claim_layer(hex('a'), Ingest::Patience::kTry));
  first->release_claims();
  EXPECT_TRUE(*second->claim_layer(hex('a'), Ingest::Patience::kWait));
}

TEST_F(Ingesting, ADownloadStaysForAnotherAttempt) {
  {
    auto ingest = Ingest::begin(*store_);
    const auto partial = ingest->open_partial_blob(hex('a'));
    ASSERT_TRUE(partial);
    EXPECT_EQ(partial->size, 0U);
    ASSERT_TRUE(write_all(partial->file.get(), "half", 4));
    auto other = Ingest::begin(*store_);
    const auto refused = other->open_partial_blob(hex('a'));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kState);
    CollectOptions options;
    options.partial_blobs = true;
    ASSERT_TRUE(collect_all(options));
    EXPECT_TRUE(there(partial_blob_path(hex('a')))) << "somebody is at it";
  }
  ASSERT_TRUE(collect_all());
  auto again = Ingest::begin(*store_);
  const auto partial = again->open_partial_blob(hex('a'));
  ASSERT_TRUE(partial);
  EXPECT_EQ(partial->size, 4U);
  ASSERT_TRUE(again->publish());
  EXPECT_TRUE(there(blob_path(hex('a'))));
  EXPECT_FALSE(there(partial_blob_path(hex('a'))));
}

TEST_F(Ingesting, ADownloadThatWasWrongGoes) {
  auto ingest = Ingest::begin(*store_);
  ASSERT_TRUE(ingest->open_partial_blob(hex('a')));
  ASSERT_TRUE(ingest->discard_partial_blob(hex('a')));
  ASSERT_TRUE(ingest->publish());
  EXPECT_FALSE(there(blob_path(hex('a'))) || there(partial_blob_path(hex('a'))));
}

TEST_F(Ingesting, NothingButADigestBecomesAPath) {
  auto ingest = Ingest::begin(*store_);
  for (const char* text : {"../../x", "", "a", "/etc/passwd"}) {
    EXPECT_FALSE(ingest->hold_blob(text));
    EXPECT_FALSE(ingest->hold_layer(text));
    EXPECT_FALSE(ingest->new_blob(text));
    EXPECT_FALSE(ingest->new_layer(text));
    EXPECT_FALSE(ingest->open_partial_blob(text));
    EXPECT_FALSE(ingest->claim_layer(text, Ingest::Patience::kTry));
  }
}

TEST_F(Ingesting, ACollectionLeavesImagesWithoutNamesAndWhatContainersUse) {
  {
    auto ingest = Ingest::begin(*store_);
    ASSERT_TRUE(add(*ingest, 'a', {}));
    ASSERT_TRUE(add(*ingest, 'c', {ref("c")}));
  }
  ASSERT_EQ(::mkdirat(store_->get(), kContainers, 0700), 0);
  ASSERT_EQ(::mkdirat(store_->get(), "containers/one", 0700), 0);
  ASSERT_TRUE(mark_use(*store_, record_of('c'), "containers/one"));
  ASSERT_TRUE(collect_all());
  EXPECT_TRUE(there(layer_path(hex('a'))));

  CollectOptions options;
  options.images = {hex('a'), hex('c')};
  const auto collected = collect_all(options);
  ASSERT_TRUE(collected);
  EXPECT_EQ(collected->layers, std::vector<std::string>{hex('a')});
  EXPECT_FALSE(there(layer_path(hex('a'))));
  EXPECT_TRUE(there(layer_path(hex('c')))) << "the container has it";
  EXPECT_TRUE(there(blob_path(hex('d')))) << "and its configuration";
}

TEST_F(Ingesting, NothingIsCollectedWhileWhatIsInUseIsNotKnown) {
  {
    auto ingest = Ingest::begin(*store_);
    ASSERT_TRUE(add(*ingest, 'a', {ref("a")}));
    ASSERT_TRUE(ingest->add_blob(hex('0'), "nobody's"));
    ASSERT_TRUE(ingest->publish());
  }
  const Fd file = *open_at(store_->get(), image_path(hex('a')).c_str(), O_WRONLY | O_TRUNC);
  EXPECT_FALSE(collect_all());
  EXPECT_TRUE(there(blob_path(hex('0'))));
}

}  // namespace
}  // namespace bulkhead::storage
