#include "oci/image.h"

#include <gtest/gtest.h>

namespace bulkhead::oci {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string descriptor(std::string_view media_type, std::string_view more = "") {
  return R"({"mediaType":")" + std::string(media_type) + R"(","digest":")" + kDigest +
         R"(","size":7)" + std::string(more) + "}";
}

std::string manifest_text(std::string_view more = "") {
  return R"({"schemaVersion":2,"config":)" + descriptor(kMediaTypeConfig) + R"(,"layers":[)" +
         descriptor(kMediaTypeLayerTarGzip) + "]" + std::string(more) + "}";
}

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "accepted" : result.error().message();
}

TEST(MediaType, KnowsTheNamesOfBothWorlds) {
  EXPECT_EQ(kind_of_media_type("application/vnd.oci.image.index.v1+json"), MediaKind::kIndex);
  EXPECT_EQ(kind_of_media_type("application/vnd.docker.distribution.manifest.list.v2+json"),
            MediaKind::kIndex);
  EXPECT_EQ(kind_of_media_type("application/vnd.docker.distribution.manifest.v2+json"),
            MediaKind::kManifest);
  EXPECT_EQ(kind_of_media_type("application/vnd.docker.container.image.v1+json"),
            MediaKind::kConfig);
  EXPECT_EQ(kind_of_media_type("application/vnd.docker.image.rootfs.diff.tar.gzip"),
            MediaKind::kLayerTarGzip);
  EXPECT_EQ(kind_of_media_type("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            MediaKind::kLayerTarGzip);
  EXPECT_EQ(kind_of_media_type("application/vnd.oci.image.layer.v1.tar+zstd"),
            MediaKind::kLayerTarZstd);
  EXPECT_EQ(kind_of_media_type("application/vnd.oci.image.layer.v1.tar"), MediaKind::kLayerTar);
  EXPECT_EQ(kind_of_media_type("text/plain"), MediaKind::kOther);
  EXPECT_EQ(kind_of_media_type(""), MediaKind::kOther);
}

TEST(Digest, MayBecomeAFileName) {
  EXPECT_TRUE(is_digest(kDigest));
  EXPECT_TRUE(is_digest("sha512:" + std::string(128, '0')));
  EXPECT_TRUE(is_digest("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8"));
  for (const std::string& text : std::vector<std::string>{
           std::string(), std::string("sha256"), std::string("sha256:"),
           "sha256:" + std::string(63, 'a'), "sha256:" + std::string(65, 'a'),
           "sha256:" + std::string(64, 'A'), "SHA256:" + std::string(64, 'a'),
           std::string("sha256:../../etc/passwd"), std::string("..:abc"), std::string("a..b:abc"),
           std::string("x:a/b"), std::string("x:a:b"), std::string(":abc"), std::string("a+:abc"),
           std::string("x:a\0b", 5)}) {
    EXPECT_FALSE(is_digest(text)) << text;
  }
}

TEST(Manifest, IsReadAndWritten) {
  const std::string text =
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"a/b","config":)" +
      descriptor(kMediaTypeConfig, R"(,"annotations":{"k":"v"},"data":"e30=")") + R"(,"layers":[)" +
      descriptor(kMediaTypeLayerTar) + "," +
      descriptor(kMediaTypeLayerTarZstd, R"(,"urls":["https://x/y"])") + R"(],"subject":)" +
      descriptor(kMediaTypeManifest) + R"(,"annotations":{"a":"b"}})";
  const auto reordered = decode_manifest(text);
  ASSERT_TRUE(reordered.has_value()) << reordered.error().message();
  EXPECT_EQ(reordered->layers[1].urls, std::vector<std::string>{"https://x/y"});
  EXPECT_EQ(reordered->config.data, "e30=");
  const std::string once = encode(*reordered);
  EXPECT_EQ(encode(*decode_manifest(once)), once);
}

TEST(Manifest, IsRefusedWhenItIsNotOneOrCouldBeAnIndex) {
  EXPECT_EQ(error_of(decode_manifest(manifest_text())), "accepted");
  EXPECT_EQ(error_of(decode_manifest(manifest_text(
                R"(,"mediaType":"application/vnd.docker.distribution.manifest.v2+json")"))),
            "accepted");
  EXPECT_TRUE(error_of(decode_manifest(manifest_text(
                           R"(,"mediaType":"application/vnd.oci.image.index.v1+json")")))
                  .starts_with("/mediaType is"));
  EXPECT_TRUE(error_of(decode_manifest(manifest_text(R"(,"manifests":[])")))
                  .starts_with("/manifests has no place"));
  EXPECT_EQ(error_of(decode_manifest(R"({"schemaVersion":2,"layers":[]})")),
            "/config is required, but absent");
  std::string old = manifest_text();
  old.replace(old.find(":2"), 2, ":1");
  EXPECT_EQ(error_of(decode_manifest(old)), "/schemaVersion is not 2");
}

TEST(Manifest, IsRefusedWithMalformedDescriptors) {
  const auto with = [](std::string_view from, std::string_view to) {
    std::string text = manifest_text();
    text.replace(text.rfind(from), from.size(), to);
    return error_of(decode_manifest(text));
  };
  EXPECT_TRUE(with(kDigest, "sha256:xyz").starts_with("/layers/0/digest is \"sha256:xyz\""));
  EXPECT_EQ(with("\"size\":7", "\"size\":-7"), "/layers/0/size is negative");
  EXPECT_TRUE(with(kMediaTypeLayerTarGzip, "no media type").starts_with("/layers/0/mediaType is"));
}

TEST(Index, IsReadAndWritten) {
  const std::string text =
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)" +
      descriptor(
          kMediaTypeManifest,
          R"(,"platform":{"architecture":"arm64","os":"linux","os.version":"1","os.features":["f"],"variant":"v8"})") +
      "]}";
  const auto index = decode_index(text);
  ASSERT_TRUE(index.has_value()) << index.error().message();
  EXPECT_EQ(index->manifests[0].platform->variant, "v8");
  EXPECT_EQ(encode(*index), text);
  EXPECT_TRUE(error_of(decode_index(R"({"schemaVersion":2,"manifests":[],"layers":[]})"))
                  .starts_with("/layers has no place"));
  EXPECT_TRUE(error_of(decode_index(R"({"schemaVersion":2,"manifests":[],"config":{}})"))
                  .starts_with("/config has no place"));
}

TEST(ImageConfig, IsReadAndWritten) {
  const std::string text =
      R"({"created":"2015-10-31T22:22:56Z","author":"A","architecture":"amd64","variant":"v2","os":"linux","config":{)"
      R"("User":"alice","ExposedPorts":{"8080/tcp":{}},"Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c"],)"
      R"("Volumes":{"/v":{}},"WorkingDir":"/w","Labels":{"l":"m"},"StopSignal":"SIGKILL"},"rootfs":{"type":"layers",)"
      R"("diff_ids":[")" +
      kDigest +
      R"("]},"history":[{"created":"x","author":"y","created_by":"z","comment":"c","empty_layer":true}]})";
  const auto image = decode_image_config(text);
  ASSERT_TRUE(image.has_value()) << image.error().message();
  EXPECT_TRUE(image->config.exposed_ports.contains("8080/tcp"));
  EXPECT_TRUE(image->history[0].empty_layer);
  EXPECT_EQ(encode(*image), text);
}

TEST(ImageConfig, ReadsNullAndWhatOthersAdd) {
  const auto image = decode_image_config(
      R"({"architecture":"amd64","os":"linux","config":{"Hostname":"h","Cmd":null,"Entrypoint":null,"Volumes":null,)"
      R"("Labels":null,"Healthcheck":{"Test":["NONE"]}},"container_config":{},"rootfs":{"type":"layers","diff_ids":[]}})");
  ASSERT_TRUE(image.has_value()) << image.error().message();
  EXPECT_TRUE(image->config.cmd.empty());
}

TEST(ImageConfig, RefusesLayersItCannotName) {
  EXPECT_TRUE(
      error_of(
          decode_image_config(
              R"({"architecture":"a","os":"l","rootfs":{"type":"layers","diff_ids":["sha256:../x"]}})"))
          .starts_with("/rootfs/diff_ids/0 is"));
  EXPECT_TRUE(
      error_of(decode_image_config(
                   R"({"architecture":"a","os":"l","rootfs":{"type":"zip","diff_ids":[]}})"))
          .starts_with("/rootfs/type is \"zip\""));
}

TEST(ImageLayout, HasOneVersion) {
  EXPECT_EQ(encode_image_layout(), R"({"imageLayoutVersion":"1.0.0"})");
  EXPECT_TRUE(check_image_layout(encode_image_layout()).has_value());
  EXPECT_FALSE(check_image_layout(R"({"imageLayoutVersion":"2.0.0"})").has_value());
  EXPECT_FALSE(check_image_layout("[]").has_value());
}

}  // namespace
}  // namespace bulkhead::oci
