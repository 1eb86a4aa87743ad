#include "runtime/checkpoint_image.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "json/parse.h"
#include "json/writer.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

using Origin = ExternalMount::Origin;

constexpr std::size_t kLargestFile = 4U << 20;
constexpr const char* kDescriptorsFile = "descriptors.json";
constexpr const char* kOwnFile = "bulkhead.json";
// CRIU writes it with every dump, and a pre-dump has none of it.
constexpr const char* kTreeFile = "pstree.img";

struct OriginName {
  Origin origin;
  std::string_view name;
};
constexpr std::array kOrigins = {OriginName{Origin::kConfigured, "mount"},
                                 OriginName{Origin::kNullDevice, "mask"},
                                 OriginName{Origin::kHostDevice, "device"}};

Error malformed(std::string_view what) {
  return {ErrorKind::kInvalid, std::string(what) + ": not what a checkpoint holds",
          "the files of a checkpoint belong together and are not to be changed"};
}

std::string text_of(const json::Value& object, std::string_view key) {
  const json::Value* value = object.find(key);
  return value == nullptr ? std::string() : std::string(value->as_string());
}

Result<void> write_file(int directory, const char* name, std::string_view text) {
  TRY_ASSIGN(const Fd file, open_at(directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  if (auto written = write_all(file.get(), text.data(), text.size()); !written)
    return std::unexpected(Error(written.error()).within(name));
  return {};
}

}  // namespace

std::string encode_descriptors(const std::vector<std::string>& descriptors) {
  std::string out;
  json::Writer writer(out);
  writer.begin_array();
  for (const std::string& name : descriptors) writer.string(name);
  writer.end_array();
  return out;
}

Result<std::vector<std::string>> decode_descriptors(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  std::vector<std::string> descriptors;
  if (document.root().type() != json::Type::kArray) return std::unexpected(malformed("a list"));
  for (const json::Value& name : document.root().items())
    descriptors.emplace_back(name.as_string());
  return descriptors;
}

std::string encode_external_mounts(const std::vector<ExternalMount>& mounts) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  writer.key("externalMounts");
  writer.begin_array();
  for (const ExternalMount& mount : mounts) {
    writer.begin_object();
    writer.member("mountPoint", mount.mount_point);
    for (const OriginName& entry : kOrigins)
      if (entry.origin == mount.origin) writer.member("origin", entry.name);
    if (!mount.destination.empty()) writer.member("destination", mount.destination);
    if (!mount.below.empty()) writer.member("below", mount.below);
    writer.end_object();
  }
  writer.end_array();
  writer.end_object();
  return out;
}

Result<std::vector<ExternalMount>> decode_external_mounts(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const json::Value* list = document.root().find("externalMounts");
  if (list == nullptr || list->type() != json::Type::kArray)
    return std::unexpected(malformed("externalMounts"));
  std::vector<ExternalMount> mounts;
  for (const json::Value& object : list->items()) {
    ExternalMount mount;
    mount.mount_point = text_of(object, "mountPoint");
    mount.destination = text_of(object, "destination");
    mount.below = text_of(object, "below");
    const std::string name = text_of(object, "origin");
    bool known = false;
    for (const OriginName& entry : kOrigins) {
      if (entry.name != name) continue;
      mount.origin = entry.origin;
      known = true;
    }
    // With "..", the source would lie elsewhere than the configuration says.
    const auto parts = split(mount.below, '/');
    const bool leaves = std::find(parts.begin(), parts.end(), "..") != parts.end();
    if (!known || !mount.mount_point.starts_with('/') || leaves)
      return std::unexpected(malformed("externalMounts"));
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Result<void> write_checkpoint_image(int directory, const CheckpointImage& image) {
  TRY(write_file(directory, kDescriptorsFile, encode_descriptors(image.descriptors)));
  return write_file(directory, kOwnFile,
                    encode_external_mounts(image.mounts.value_or(std::vector<ExternalMount>())));
}

Result<CheckpointImage> read_checkpoint_image(int directory, const std::string& path) {
  if (::faccessat(directory, kTreeFile, F_OK, 0) != 0)
    return fail(ErrorKind::kNotFound, "there is no checkpoint in " + quoted(path),
                "give the directory that a checkpoint was made in with --image-path");
  CheckpointImage image;
  TRY_ASSIGN(const std::string descriptors,
             read_file_at(directory, kDescriptorsFile, kLargestFile));
  auto names = decode_descriptors(descriptors);
  if (!names)
    return std::unexpected(std::move(names).error().within(path + "/" + kDescriptorsFile));
  image.descriptors = *std::move(names);
  auto own = read_file_at(directory, kOwnFile, kLargestFile);
  if (!own && own.error().kind() == ErrorKind::kNotFound) return image;
  if (!own) return std::unexpected(std::move(own).error().within(path));
  auto mounts = decode_external_mounts(*own);
  if (!mounts) return std::unexpected(std::move(mounts).error().within(path + "/" + kOwnFile));
  image.mounts = *std::move(mounts);
  return image;
}

}  // namespace bulkhead::runtime
