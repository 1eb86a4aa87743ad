#include "storage/images.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "storage/layout.h"
#include "sys/directory.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kLargestRecord = 8 << 20;
constexpr const char* kUse = "image";  // in the container's directory
constexpr std::size_t kMostListed = 10;

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMostListed; ++i)
    text.append(i == 0 ? "" : ", ").append(names[i]);
  if (names.size() > kMostListed) text += ", …";
  return text;
}

std::unexpected<Error> not_found(std::string_view text) {
  return fail(ErrorKind::kNotFound, "no such image: " + quoted(text),
              "bulkhead images lists what is on this host");
}

// The image whose id begins so; of one id with several manifests (the same layers, compressed in
// different ways) the one that has a name.
Result<std::optional<FoundImage>> find_id(const Store& store, std::string_view prefix) {
  TRY_ASSIGN(std::vector<StoredImage> images, list_images(store));
  std::erase_if(images, [&](const StoredImage& image) {
    return !image.record.config_digest.starts_with(prefix);
  });
  if (images.empty()) return std::nullopt;
  std::vector<std::string> ids;
  for (const StoredImage& image : images)
    if (std::ranges::find(ids, image.record.config_digest) == ids.end())
      ids.push_back(image.record.config_digest);
  if (ids.size() > 1) {
    for (std::string& id : ids) id.resize(std::max<std::size_t>(12, prefix.size() + 4));
    return fail(ErrorKind::kInvalid,
                "the id " + quoted(prefix) + " is ambiguous: " + listed(ids) + " begin so",
                "give more of its digits");
  }
  const auto named =
      std::ranges::find_if(images, [](const StoredImage& image) { return !image.names.empty(); });
  return FoundImage{std::move(named == images.end() ? images.front() : *named).record, {}};
}

Result<std::optional<FoundImage>> find_exactly(const Store& store, const Reference& reference) {
  TRY_ASSIGN(auto record, store.find_name(reference));
  if (record) return FoundImage{*std::move(record), reference};
  // By a digest, whatever tag it was fetched by: of the manifest itself.
  if (reference.digest.starts_with("sha256:")) {
    TRY_ASSIGN(record, store.find_manifest(std::string_view(reference.digest).substr(7)));
    TRY_ASSIGN(const auto repositories, list_repositories(store.get()));
    if (record && std::ranges::find(repositories, reference.name()) != repositories.end())
      return FoundImage{*std::move(record), std::nullopt};
  }
  return std::nullopt;
}

// "app" for "localhost/app": whole components, in any registry.
Result<std::optional<FoundImage>> find_by_end(const Store& store, const Reference& reference) {
  const std::string end = "/" + reference.familiar_name();
  TRY_ASSIGN(const std::vector<std::string> repositories, list_repositories(store.get()));
  std::vector<FoundImage> found;
  std::vector<std::string> names;
  for (const std::string& repository : repositories) {
    if (!repository.ends_with(end)) continue;
    auto other = parse_reference(repository);
    if (!other) continue;
    other->tag = reference.tag;
    other->digest = reference.digest;
    TRY_ASSIGN(auto image, find_exactly(store, *other));
    if (!image) continue;
    names.push_back(other->familiar());
    found.push_back(*std::move(image));
  }
  if (found.size() > 1) {
    std::ranges::sort(names);
    return fail(
        ErrorKind::kInvalid,
        "the name " + quoted(reference.familiar()) + " is ambiguous on this host: " + listed(names),
        "say which, with its registry");
  }
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

}  // namespace

std::optional<std::string_view> id_prefix(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  if (text.empty() || text.size() > 64 ||
      text.find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return std::nullopt;
  return text;
}

Result<std::vector<StoredImage>> list_images(const Store& store) {
  TRY_ASSIGN(ImageNames named, list_image_names(store.get()));
  std::map<std::string, std::vector<Reference>, std::less<>> names;
  for (ImageName& name : named.names)
    names[std::move(name.manifest)].push_back(std::move(name.reference));
  TRY_ASSIGN(const std::vector<std::string> manifests, list_directory(store.get(), kImages));
  std::vector<StoredImage> images;
  images.reserve(manifests.size());
  for (const std::string& manifest : manifests) {
    if (!is_hex_digest(manifest)) continue;
    TRY_ASSIGN(auto record, store.find_manifest(manifest));
    if (!record) continue;
    StoredImage image{*std::move(record), {}};
    if (const auto found = names.find(manifest); found != names.end())
      image.names = std::move(found->second);
    images.push_back(std::move(image));
  }
  std::ranges::sort(images, [](const StoredImage& a, const StoredImage& b) {
    if (a.record.created != b.record.created) return a.record.created > b.record.created;
    return a.record.manifest_digest < b.record.manifest_digest;
  });
  return images;
}

Result<FoundImage> find_image_here(const Store& store, std::string_view text) {
  const auto prefix = id_prefix(text);
  // A whole id is never a name; the beginning of one may be, and then is.
  if (prefix && (prefix->size() == 64 || text.starts_with("sha256:"))) {
    TRY_ASSIGN(auto image, find_id(store, *prefix));
    if (image) return *std::move(image);
    return not_found(text);
  }
  TRY_ASSIGN(const Reference reference, parse_reference(text));
  TRY_ASSIGN(auto exactly, find_exactly(store, reference));
  if (exactly) return *std::move(exactly);
  if (!names_registry(text)) {
    TRY_ASSIGN(auto by_end, find_by_end(store, reference));
    if (by_end) return *std::move(by_end);
  }
  if (prefix) {
    TRY_ASSIGN(auto image, find_id(store, *prefix));
    if (image) return *std::move(image);
  }
  return not_found(text);
}

Result<std::vector<ImageUse>> list_uses(const Store& store) {
  TRY_ASSIGN(const std::vector<std::string> containers, list_directory(store.get(), kContainers));
  std::vector<ImageUse> uses;
  for (const std::string& container : containers) {
    const std::string path = path_in(path_in(kContainers, container), kUse);
    auto text = read_file_at(store.get(), path.c_str(), kLargestRecord);
    if (!text) {
      // Made by a process that was killed before it had marked anything: then it uses nothing.
      if (text.error().kind() == ErrorKind::kNotFound) continue;
      return std::unexpected(std::move(text).error());
    }
    auto record = decode_record(*text);
    // Whatever it uses: nothing may be taken away while nobody knows.
    if (!record)
      return std::unexpected(
          std::move(record)
              .error()
              .within("container " + container.substr(0, 12))
              .with_hint("bulkhead rm takes the container away with all that it wrote"));
    uses.push_back({container, *std::move(record)});
  }
  return uses;
}

Result<void> mark_use(const Store& store, const ImageRecord& record, const std::string& container) {
  const std::string from = record.key.empty() ? image_path(record.manifest_digest)
                                              : path_in(kSources, record_file_name(record.key));
  const std::string to = path_in(container, kUse);
  // The record itself: it costs nothing, and stays when the image loses its last name.
  if (::linkat(store.get(), from.c_str(), store.get(), to.c_str(), 0) == 0) return {};
  if (errno != EMLINK && errno != EPERM && errno != EOPNOTSUPP)
    return std::unexpected(Error(SysError{"link", errno, to.c_str()}).within("the image in use"));
  TRY_ASSIGN(const Fd file,
             open_at(store.get(), to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  const std::string text = encode(record);
  TRY(write_all(file.get(), text.data(), text.size()));
  return {};
}

}  // namespace bulkhead::storage
