// The small rules of the protocol: messages between the processes, retries, platforms, uploads.
#include <gtest/gtest.h>

#include "storage/registry/client.h"
#include "storage/registry/message.h"
#include "storage/registry/outdated.h"
#include "storage/registry/packet.h"
#include "storage/registry/platform.h"
#include "storage/registry/retry.h"
#include "storage/registry/upload.h"

namespace bulkhead::storage {
namespace {

using std::chrono::milliseconds;

TEST(Message, SurvivesTheWay) {
  FetchRequest request;
  request.method = Method::kPatch;
  request.target = "/v2/x/blobs/uploads/1";
  request.accept = {"a/b", "c/d"};
  request.first_byte = 7;
  request.most_bytes = ~std::uint64_t{0};
  const auto back = decode_request(encode(request));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->method, Method::kPatch);
  EXPECT_EQ(back->accept, request.accept);
  EXPECT_EQ(back->most_bytes, request.most_bytes);
}

TEST(Message, IsRefusedUnlessItIsWholeAndMeansSomething) {
  FetchHead head;
  head.status = 200;
  const std::string whole = encode(head);
  ASSERT_TRUE(decode_head(whole));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(decode_head(whole.substr(0, size))) << size;
  EXPECT_FALSE(decode_head(whole + "x"));
  EXPECT_FALSE(decode_result(whole)) << "another kind of message";
  head.status = 1000;
  EXPECT_FALSE(decode_head(encode(head)));
  head.status = 200;
  head.location = "https://x/\r\nEvil: 1";
  EXPECT_FALSE(decode_head(encode(head)));
  head.location = std::string(kLongestUrl + 1, 'a');
  EXPECT_FALSE(decode_head(encode(head)));
}

TEST(Packet, BringsDescriptorsOrNothing) {
  auto pair = PacketPair::make();
  ASSERT_TRUE(pair);
  const int zero = 0;
  ASSERT_TRUE(send_packet(pair->ours.get(), "hello", {&zero, 1}));
  EXPECT_FALSE(receive_packet(pair->theirs.get(), 0)) << "an unexpected descriptor";
  ASSERT_TRUE(send_packet(pair->ours.get(), "hello"));
  EXPECT_FALSE(receive_packet(pair->theirs.get(), 1)) << "a missing descriptor";
  ASSERT_TRUE(send_packet(pair->ours.get(), "hello", {&zero, 1}));
  const auto packet = receive_packet(pair->theirs.get(), 1);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->message, "hello");
  EXPECT_FALSE(receive_packet(pair->theirs.get(), 0, 1)) << "nobody says anything";
  pair->ours.reset();
  EXPECT_FALSE(receive_packet(pair->theirs.get(), 0));
}

TEST(Retry, DoublesWithJitterUpToItsBounds) {
  Retry retry({.attempts = 20, .first = milliseconds(100), .longest = milliseconds(1000)});
  EXPECT_EQ(retry.next({}, 1.0), milliseconds(100));
  EXPECT_EQ(retry.next({}, 0.0), milliseconds(100)) << "half of 200 for certain";
  EXPECT_EQ(retry.next({}, 1.0), milliseconds(400));
  for (int i = 0; i < 10; ++i) EXPECT_LE(*retry.next({}, 1.0), milliseconds(1000));
}

TEST(Retry, EndsUnlessSomethingCame) {
  Retry retry({.attempts = 3, .first = milliseconds(1)});
  EXPECT_TRUE(retry.next({}, 0));
  EXPECT_TRUE(retry.next({}, 0));
  EXPECT_FALSE(retry.next({}, 0));
  retry.progressed();
  EXPECT_TRUE(retry.next({}, 0));
}

TEST(Retry, HonoursWhatTheRegistryAsksForWithinReason) {
  Retry retry({.longest_asked_for = milliseconds(5000)});
  EXPECT_EQ(retry.next(3, 0.0), milliseconds(3000));
  EXPECT_EQ(retry.next(~std::uint64_t{0}, 0.0), milliseconds(5000));
}

TEST(Retry, IsForWhatPasses) {
  for (const std::uint64_t status : {408U, 429U, 500U, 502U, 503U, 504U})
    EXPECT_TRUE(is_transient_status(status)) << status;
  for (const std::uint64_t status : {200U, 400U, 401U, 403U, 404U, 501U})
    EXPECT_FALSE(is_transient_status(status)) << status;
}

oci::Descriptor image_for(std::string os, std::string architecture, std::string variant = {}) {
  oci::Descriptor descriptor;
  descriptor.digest = os + architecture + variant;
  descriptor.platform.emplace();
  descriptor.platform->os = std::move(os);
  descriptor.platform->architecture = std::move(architecture);
  descriptor.platform->variant = std::move(variant);
  return descriptor;
}
std::string chosen(const std::vector<oci::Descriptor>& index, std::string_view wanted) {
  const auto platform = parse_platform(wanted);
  if (!platform) return "malformed";
  const auto descriptor = choose_platform(index, *platform);
  return descriptor ? descriptor->digest : descriptor.error().message();
}

TEST(Platform, IsChosenByOsArchitectureAndVariant) {
  const std::vector<oci::Descriptor> index{
      image_for("unknown", "unknown"), image_for("windows", "amd64"),
      image_for("linux", "amd64"),     image_for("linux", "arm", "v5"),
      image_for("linux", "arm", "v7"), image_for("linux", "arm64", "v8")};
  EXPECT_EQ(chosen(index, "linux/amd64"), "linuxamd64");
  EXPECT_EQ(chosen(index, "x86_64"), "linuxamd64");
  EXPECT_EQ(chosen(index, "linux/arm64"), "linuxarm64v8");
  EXPECT_EQ(chosen(index, "linux/arm64/v8"), "linuxarm64v8");
  EXPECT_EQ(chosen(index, "linux/arm"), "linuxarmv7");
  EXPECT_EQ(chosen(index, "linux/arm/v6"), "linuxarmv5") << "what runs on it";
  EXPECT_NE(chosen(index, "linux/riscv64").find("there is no image for linux/riscv64"),
            std::string::npos);
  EXPECT_NE(chosen(index, "linux/riscv64").find("\"linux/arm/v7\""), std::string::npos);
}

TEST(Platform, OfALonelyImageMayBeUnsaid) {
  oci::Descriptor descriptor;
  descriptor.digest = "only";
  EXPECT_EQ(chosen({descriptor}, "linux/amd64"), "only");
  EXPECT_NE(chosen({descriptor, descriptor}, "linux/amd64"), "only");
}

TEST(Platform, IsWellFormedAndForLinux) {
  for (const char* text :
       {"", "/", "linux/", "linux/a/b/c", "linux/AMD64", "linux/am d", "windows/amd64"})
    EXPECT_FALSE(parse_platform(text)) << text;
}

TEST(Upload, EndsWithTheDigest) {
  EXPECT_EQ(with_digest("https://r/u/1", "ab"), "https://r/u/1?digest=sha256:ab");
  EXPECT_EQ(with_digest("https://r/u/1?_state=x", "ab"), "https://r/u/1?_state=x&digest=sha256:ab");
}

TEST(Upload, BelievesOnlyARangeFromTheBeginning) {
  EXPECT_EQ(received_bytes("0-1023"), 1024U);
  EXPECT_EQ(received_bytes("bytes=0-9"), 10U);
  for (const char* text : {"", "0-0", "5-9", "0-", "0-x", "-", "0-18446744073709551615"})
    EXPECT_EQ(received_bytes(text), 0U) << text;
}

TEST(MediaType, IsWhatTheDocumentSays) {
  const std::string manifest(oci::kMediaTypeManifest);
  EXPECT_EQ(media_type_of(R"({"mediaType":"application/vnd.oci.image.index.v1+json"})", manifest),
            std::string(oci::kMediaTypeIndex));
  EXPECT_EQ(media_type_of(R"({"layers":[]})", ""), manifest);
  EXPECT_EQ(media_type_of(R"({"manifests":[]})", "text/plain"), std::string(oci::kMediaTypeIndex));
  EXPECT_FALSE(media_type_of(R"({"x":1})", "application/json"));
  EXPECT_FALSE(media_type_of("<html>", manifest));
  const auto old = media_type_of(R"({"schemaVersion":1,"name":"x"})", manifest);
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(old.error().message().find("schema 1"), std::string::npos);
}

TEST(Outdated, KnowsATagByTheDigestsOfItsRepository) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const std::string manifest(64, 'b');
  ImageName tag{*parse_reference("r.example/x:1"), manifest};
  const std::vector<ImageName> names{
      tag,
      {*parse_reference("r.example/x@" + digest), manifest},
      {*parse_reference("r.example/y@" + digest), manifest},
      {*parse_reference("r.example/x@sha256:" + std::string(64, 'c')), std::string(64, 'd')}};
  EXPECT_EQ(known_digests(names, tag), std::vector<std::string>{digest});
}

}  // namespace
}  // namespace bulkhead::storage
