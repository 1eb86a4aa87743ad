#include "runtime/checkpoint_image.h"

#include <gtest/gtest.h>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using Origin = ExternalMount::Origin;
using testing::TemporaryDirectory;
using testing::write_text;

const std::vector<ExternalMount> kMounts = {{Origin::kConfigured, "/data/x", "/data", "/x"},
                                            {Origin::kNullDevice, "/proc/kcore", "", ""},
                                            {Origin::kHostDevice, "/dev/tty", "", ""}};

TEST(CheckpointImage, IsReadAsItWasWritten) {
  const TemporaryDirectory directory;
  const auto fd = open_at(AT_FDCWD, directory.path().c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(fd);
  const std::vector<std::string> names = {"pipe:[7]", "file[2a:1f]", "/dev/pts/0"};
  ASSERT_TRUE(write_checkpoint_image(fd->get(), {names, kMounts}));
  EXPECT_EQ(testing::text_of(directory / "descriptors.json"),
            "[\"pipe:[7]\",\"file[2a:1f]\",\"/dev/pts/0\"]");
  // Of a pre-dump, or of a dump that failed, there is not enough.
  const auto none = read_checkpoint_image(fd->get(), directory.path());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::kNotFound);
  write_text(directory / "pstree.img", "");
  const auto image = read_checkpoint_image(fd->get(), directory.path());
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->descriptors, names);
  EXPECT_EQ(image->mounts, kMounts);
}

TEST(CheckpointImage, OfAnotherRuntimeHasNoListOfMounts) {
  const TemporaryDirectory directory;
  const auto fd = open_at(AT_FDCWD, directory.path().c_str(), O_RDONLY | O_DIRECTORY);
  write_text(directory / "pstree.img", "");
  write_text(directory / "descriptors.json", "[\"/dev/null\", \"pipe:[1]\"]");
  const auto image = read_checkpoint_image(fd->get(), directory.path());
  ASSERT_TRUE(image);
  EXPECT_FALSE(image->mounts);
}

TEST(CheckpointImage, WhatIsMalformedIsAnError) {
  EXPECT_FALSE(decode_descriptors("{}"));
  EXPECT_FALSE(decode_descriptors("[\"a\""));
  for (const char* text :
       {"{}", "[]", "{\"externalMounts\": 1}", "{\"externalMounts\": [{}]}",
        R"({"externalMounts": [{"mountPoint": "/a", "origin": "other"}]})",
        R"({"externalMounts": [{"mountPoint": "a", "origin": "mount"}]})",
        R"({"externalMounts": [{"mountPoint": "/a", "origin": "mount", "below": "/x/../../e"}]})"})
    EXPECT_FALSE(decode_external_mounts(text)) << text;
}

}  // namespace
}  // namespace bulkhead::runtime
