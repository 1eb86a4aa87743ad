#include "storage/record.h"

#include <gtest/gtest.h>

namespace bulkhead::storage {
namespace {

ImageRecord example() {
  ImageRecord record;
  record.key = "/images/busybox.tar\nlatest";
  record.identity = {1, 2, 3, 4, 5};
  record.manifest_digest = std::string(64, 'a');
  record.config_digest = std::string(64, 'b');
  record.created = "2024-05-01T10:00:00.5Z";
  record.size = 12345;
  record.layers = {std::string(64, 'c'), std::string(64, 'd')};
  record.blobs = {std::string(64, 'e'), std::string(64, 'f')};
  record.config = "{\n}\n";
  return record;
}

TEST(ImageRecord, SurvivesEncoding) {
  const auto decoded = decode_record(encode(example()));
  ASSERT_TRUE(decoded) << decoded.error().message();
  EXPECT_EQ(decoded->key, example().key);
  EXPECT_EQ(decoded->identity, example().identity);
  EXPECT_EQ(decoded->layers, example().layers);
  EXPECT_EQ(decoded->blobs, example().blobs);
  EXPECT_EQ(decoded->created, example().created);
  EXPECT_EQ(decoded->size, example().size);
  EXPECT_EQ(decoded->config, example().config);
}

TEST(ImageRecord, IsRefusedWhenItIsNotWhole) {
  const std::string text = encode(example());
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(decode_record(std::string_view(text).substr(0, size))) << size;
  EXPECT_FALSE(decode_record(text + "x"));
}

TEST(ImageRecord, IsRefusedWhereALineIsNotInItsPlace) {
  const std::string text = encode(example());
  for (const char* name : {"path", "reference", "identity", "manifest", "config", "size"}) {
    const std::size_t at = text.find(std::string("\n") + name + " ") + 1;
    const std::string line = text.substr(at, text.find('\n', at) + 1 - at);
    EXPECT_FALSE(decode_record(std::string(text).insert(at, line))) << line;
    EXPECT_FALSE(decode_record(std::string(text).erase(at, line.size()))) << line;
  }
}

TEST(ImageRecord, LetsNoPathIntoALayersName) {
  ImageRecord record = example();
  record.layers = {"../../../etc"};
  EXPECT_FALSE(decode_record(encode(record)));
  EXPECT_FALSE(is_hex_digest(std::string(63, 'a') + "/"));
  EXPECT_FALSE(is_hex_digest(std::string(64, 'A')));
}

TEST(ImageRecord, LetsNoLineInByWhatAnImageSays) {
  ImageRecord record = example();
  record.created = "2024-05-01T10:00:00Z\nlayer " + std::string(64, '0');
  const auto decoded = decode_record(encode(record));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->layers, example().layers);
  EXPECT_EQ(decoded->created, "");
}

TEST(ImageRecord, HasOneBlobForEachLayerOrNone) {
  ImageRecord record = example();
  record.blobs.pop_back();
  EXPECT_FALSE(decode_record(encode(record)));
  record.blobs.clear();
  EXPECT_TRUE(decode_record(encode(record)));
}

TEST(ImageRecord, OfTheStoresOwnImagesHasNoPath) {
  ImageRecord record = example();
  record.key.clear();
  const auto decoded = decode_record(encode(record));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->key, "");
}

TEST(ImageRecord, HasItsOwnFileForEachKey) {
  EXPECT_NE(record_file_name("a\n"), record_file_name("b\n"));
  EXPECT_EQ(record_file_name("a\n").size(), 16U);
}

}  // namespace
}  // namespace bulkhead::storage
