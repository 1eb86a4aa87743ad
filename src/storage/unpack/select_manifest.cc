#include "storage/unpack/select_manifest.h"

#include "base/text.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostDocumentBytes = 4 << 20;
constexpr int kDeepestIndex = 4;
constexpr std::string_view kReferenceName = "org.opencontainers.image.ref.name";

// Tools write the tag alone ("latest") or the whole name ("docker.io/library/alpine:latest").
bool carries(const oci::Descriptor& descriptor, const std::string& reference) {
  const auto name = descriptor.annotations.find(std::string(kReferenceName));
  return name != descriptor.annotations.end() && name->second == reference;
}

// No platform means that nobody said: the configuration will tell.
bool fits(const oci::Descriptor& descriptor) {
  return !descriptor.platform || (descriptor.platform->os == "linux" &&
                                  descriptor.platform->architecture == own_architecture());
}

std::string describe(const oci::Descriptor& descriptor) {
  std::string text;
  if (const auto name = descriptor.annotations.find(std::string(kReferenceName));
      name != descriptor.annotations.end())
    text = quoted(name->second, 80);
  else
    text = "(no tag)";
  if (descriptor.platform)
    text += " for " + quoted(descriptor.platform->os + "/" + descriptor.platform->architecture, 40);
  return text;
}

std::string list(const std::vector<oci::Descriptor>& descriptors) {
  std::string text;
  for (std::size_t i = 0; i < descriptors.size() && i < 20; ++i) {
    if (i != 0) text += ", ";
    text += describe(descriptors[i]);
  }
  if (descriptors.size() > 20) text += ", …";
  return text.empty() ? "nothing" : text;
}

Result<oci::Descriptor> choose(const std::vector<oci::Descriptor>& all,
                               const std::string& reference) {
  std::vector<oci::Descriptor> candidates;
  for (const oci::Descriptor& descriptor : all)
    if ((reference.empty() || carries(descriptor, reference)) && fits(descriptor))
      candidates.push_back(descriptor);
  // The same image under several names is still one.
  for (const oci::Descriptor& candidate : candidates)
    if (candidate.digest != candidates.front().digest)
      return fail(ErrorKind::kInvalid, "the layout holds several images: " + list(candidates),
                  "say which by its tag: oci:DIR:TAG or oci-archive:FILE:TAG");
  if (candidates.empty())
    return fail(ErrorKind::kNotFound,
                "the layout holds no image " +
                    (reference.empty() ? std::string() : "tagged " + quoted(reference) + " ") +
                    "for linux/" + std::string(own_architecture()) + "; it has " + list(all));
  return candidates.front();
}

Result<SelectedManifest> follow(const BlobSource& source, const oci::Descriptor& descriptor,
                                int depth) {
  TRY_ASSIGN(const std::string hex, sha256_of(descriptor.digest));
  auto text = source.read_blob(hex, kMostDocumentBytes);
  if (!text) return std::unexpected(std::move(text).error().within("the image's manifest"));
  switch (oci::kind_of_media_type(descriptor.media_type)) {
    case oci::MediaKind::kManifest: {
      TRY_ASSIGN(oci::Manifest manifest, oci::decode_manifest(*text));
      return SelectedManifest{hex, std::move(manifest), *std::move(text)};
    }
    case oci::MediaKind::kIndex: {
      if (depth == kDeepestIndex)
        return fail(ErrorKind::kInvalid, "the layout's indexes are nested too deeply");
      TRY_ASSIGN(const oci::Index index, oci::decode_index(*text));
      TRY_ASSIGN(const oci::Descriptor next, choose(index.manifests, {}));
      return follow(source, next, depth + 1);
    }
    default:
      return fail(ErrorKind::kUnsupported, "the layout holds something else than an image: " +
                                               quoted(descriptor.media_type));
  }
}

Result<oci::Index> read_index(const BlobSource& source) {
  TRY_ASSIGN(const std::string layout, source.read("oci-layout", 4096));
  TRY_WITHIN("oci-layout", oci::check_image_layout(layout));
  TRY_ASSIGN(const std::string text, source.read("index.json", kMostDocumentBytes));
  auto index = oci::decode_index(text);
  if (!index) return std::unexpected(std::move(index).error().within("index.json"));
  return index;
}

}  // namespace

Result<std::string> sha256_of(std::string_view digest) {
  if (!digest.starts_with("sha256:") || !is_hex_digest(digest.substr(7)))
    return fail(ErrorKind::kUnsupported, "the digest " + quoted(digest) + " is not a SHA-256");
  return std::string(digest.substr(7));
}

Result<SelectedManifest> select_manifest(const BlobSource& source, const std::string& reference) {
  TRY_ASSIGN(const oci::Index index, read_index(source));
  TRY_ASSIGN(const oci::Descriptor descriptor, choose(index.manifests, reference));
  return follow(source, descriptor, 0);
}

Result<std::vector<ListedManifest>> list_manifests(const BlobSource& source) {
  TRY_ASSIGN(const oci::Index index, read_index(source));
  std::vector<ListedManifest> listed;
  for (const oci::Descriptor& descriptor : index.manifests) {
    if (!fits(descriptor)) continue;
    TRY_ASSIGN(SelectedManifest selected, follow(source, descriptor, 0));
    listed.push_back({std::move(selected), descriptor.annotations});
  }
  if (listed.empty())
    return fail(ErrorKind::kNotFound, "the layout holds no image for linux/" +
                                          std::string(own_architecture()) + "; it has " +
                                          list(index.manifests));
  return listed;
}

}  // namespace bulkhead::storage
