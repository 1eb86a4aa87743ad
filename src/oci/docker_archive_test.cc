#include "oci/docker_archive.h"

#include <gtest/gtest.h>

namespace bulkhead::oci {
namespace {

TEST(DockerArchive, SurvivesEncoding) {
  const std::vector<DockerArchiveImage> images{{"c.json", {"a:1", "b:2"}, {"l1", "l2"}},
                                               {"d.json", {}, {}}};
  const auto decoded = decode_docker_archive(encode_docker_archive(images));
  ASSERT_TRUE(decoded);
  ASSERT_EQ(decoded->size(), 2U);
  EXPECT_EQ((*decoded)[0].config, "c.json");
  EXPECT_EQ((*decoded)[0].repo_tags, images[0].repo_tags);
  EXPECT_EQ((*decoded)[0].layers, images[0].layers);
}

TEST(DockerArchive, TakesNullForAnEmptyList) {
  const auto decoded = decode_docker_archive(R"([{"Config":"c","RepoTags":null,"Layers":null}])");
  ASSERT_TRUE(decoded);
  EXPECT_TRUE((*decoded)[0].repo_tags.empty());
}

TEST(DockerArchive, RefusesOtherDocuments) {
  for (const char* text : {"", "{}", "[1]", "[{}]", R"([{"Config":""}])", R"([{"Config":5}])",
                           R"([{"Config":"c","Layers":"x"}])", R"([{"Config":"c","Layers":[1]}])",
                           R"([{"Config":"c","RepoTags":{}}])", R"([{"Config":"c","Config":"d"}])",
                           R"([{"Config":"c\u0000d"}])"})
    EXPECT_FALSE(decode_docker_archive(text)) << text;
}

}  // namespace
}  // namespace bulkhead::oci
