#include "oci/docker_archive.h"

#include "json/parse.h"
#include "json/writer.h"

namespace bulkhead::oci {
namespace {

constexpr std::size_t kMostImages = 10'000;
constexpr std::size_t kLongestName = 4096;

std::unexpected<Error> refuse(std::size_t image, std::string_view what) {
  return fail(ErrorKind::kInvalid,
              "manifest.json: image " + std::to_string(image + 1) + ": " + std::string(what));
}

bool is_name(const json::Value& value) {
  const std::string_view text = value.as_string();
  return value.type() == json::Type::kString && !text.empty() && text.size() <= kLongestName &&
         text.find('\0') == std::string_view::npos;
}

// Go writes null for an empty list.
bool take_names(const json::Value* list, std::vector<std::string>& into) {
  if (list == nullptr || list->is_null()) return true;
  if (list->type() != json::Type::kArray) return false;
  for (const json::Value& item : list->items()) {
    if (!is_name(item)) return false;
    into.emplace_back(item.as_string());
  }
  return true;
}

}  // namespace

Result<std::vector<DockerArchiveImage>> decode_docker_archive(std::string_view text) {
  auto document = json::parse(text);
  if (!document) return std::unexpected(std::move(document).error().within("manifest.json"));
  const json::Value& root = document->root();
  if (root.type() != json::Type::kArray)
    return fail(ErrorKind::kInvalid, "manifest.json: an array of images is expected");
  if (root.items().size() > kMostImages)
    return fail(ErrorKind::kInvalid, "manifest.json: too many images");
  std::vector<DockerArchiveImage> images;
  for (const json::Value& each : root.items()) {
    const std::size_t number = images.size();
    if (each.type() != json::Type::kObject) return refuse(number, "an object is expected");
    DockerArchiveImage image;
    const json::Value* const config = each.find("Config");
    if (config == nullptr || !is_name(*config)) return refuse(number, "Config names no member");
    image.config = config->as_string();
    if (!take_names(each.find("RepoTags"), image.repo_tags))
      return refuse(number, "RepoTags is no list of names");
    if (!take_names(each.find("Layers"), image.layers))
      return refuse(number, "Layers is no list of members");
    images.push_back(std::move(image));
  }
  return images;
}

std::string encode_docker_archive(const std::vector<DockerArchiveImage>& images) {
  std::string out;
  json::Writer writer(out);
  const auto names = [&](std::string_view key, const std::vector<std::string>& list) {
    writer.key(key);
    writer.begin_array();
    for (const std::string& name : list) writer.string(name);
    writer.end_array();
  };
  writer.begin_array();
  for (const DockerArchiveImage& image : images) {
    writer.begin_object();
    writer.member("Config", image.config);
    names("RepoTags", image.repo_tags);
    names("Layers", image.layers);
    writer.end_object();
  }
  writer.end_array();
  return out;
}

}  // namespace bulkhead::oci
