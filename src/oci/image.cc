#include "oci/image.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "json/parse.h"
#include "oci/fields.h"
#include "oci/object_reader.h"
#include "oci/object_writer.h"

namespace bulkhead::oci {

// --- the documents' fields; see fields.h ---------------------------------------------------------

void fields(auto& visit, Any<Platform> auto& platform) {
  visit.required("architecture", platform.architecture);
  visit.required("os", platform.os);
  visit.optional("os.version", platform.os_version);
  visit.optional("os.features", platform.os_features);
  visit.optional("variant", platform.variant);
}

void fields(auto& visit, Any<Descriptor> auto& descriptor) {
  visit.required("mediaType", descriptor.media_type);
  visit.required("digest", descriptor.digest);
  visit.required("size", descriptor.size);
  visit.optional("urls", descriptor.urls);
  visit.text("annotations", descriptor.annotations);
  visit.optional("data", descriptor.data);
  visit.optional("artifactType", descriptor.artifact_type);
  visit.optional("platform", descriptor.platform);
}

// schemaVersion stands apart: it is always 2.
void fields(auto& visit, Any<Index> auto& index) {
  visit.optional("mediaType", index.media_type);
  visit.optional("artifactType", index.artifact_type);
  visit.required("manifests", index.manifests);
  visit.optional("subject", index.subject);
  visit.text("annotations", index.annotations);
}

void fields(auto& visit, Any<Manifest> auto& manifest) {
  visit.optional("mediaType", manifest.media_type);
  visit.optional("artifactType", manifest.artifact_type);
  visit.required("config", manifest.config);
  visit.required("layers", manifest.layers);
  visit.optional("subject", manifest.subject);
  visit.text("annotations", manifest.annotations);
}

void fields(auto&, Any<Nothing> auto&) {}

void fields(auto& visit, Any<HealthTest> auto& health) {
  visit.optional("Test", health.test);
  visit.optional("Interval", health.interval);
  visit.optional("Timeout", health.timeout);
  visit.optional("StartPeriod", health.start_period);
  visit.optional("StartInterval", health.start_interval);
  visit.optional("Retries", health.retries);
}

void fields(auto& visit, Any<ExecutionParameters> auto& config) {
  visit.optional("User", config.user);
  visit.optional("ExposedPorts", config.exposed_ports);
  visit.optional("Env", config.env);
  visit.optional("Entrypoint", config.entrypoint);
  visit.optional("Cmd", config.cmd);
  visit.optional("Volumes", config.volumes);
  visit.optional("WorkingDir", config.working_dir);
  visit.text("Labels", config.labels);
  visit.optional("StopSignal", config.stop_signal);
  visit.optional("Healthcheck", config.healthcheck);
  visit.optional("Shell", config.shell);
}

void fields(auto& visit, Any<LayerIds> auto& rootfs) {
  visit.required("type", rootfs.type);
  visit.required("diff_ids", rootfs.diff_ids);
}

void fields(auto& visit, Any<HistoryEntry> auto& entry) {
  visit.optional("created", entry.created);
  visit.optional("author", entry.author);
  visit.optional("created_by", entry.created_by);
  visit.optional("comment", entry.comment);
  visit.optional("empty_layer", entry.empty_layer);
}

void fields(auto& visit, Any<ImageConfig> auto& image) {
  visit.optional("created", image.created);
  visit.optional("author", image.author);
  visit.required("architecture", image.architecture);
  visit.optional("variant", image.variant);
  visit.required("os", image.os);
  visit.optional("os.version", image.os_version);
  visit.optional("os.features", image.os_features);
  visit.defaulted("config", image.config);
  visit.required("rootfs", image.rootfs);
  visit.optional("history", image.history);
}

namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }
bool is_alphanumeric(char c) {
  return is_one_of(c, kDigits) || is_one_of(c, kLower) || (c >= 'A' && c <= 'Z');
}

// RFC 6838: type and subtype of 1 to 127 characters each.
bool is_media_type(std::string_view text) {
  if (std::count(text.begin(), text.end(), '/') != 1) return false;
  for (const std::string_view part : split(text, '/')) {
    if (part.empty() || part.size() > 127 || !is_alphanumeric(part.front())) return false;
    const bool valid = std::all_of(part.begin(), part.end(), [](char c) {
      return is_alphanumeric(c) || is_one_of(c, "!#$&^_.+-");
    });
    if (!valid) return false;
  }
  return true;
}

// Groups of lower-case letters and digits, joined by single separators.
bool is_digest_algorithm(std::string_view text) {
  bool after_separator = true;
  for (const char c : text) {
    const bool separator = is_one_of(c, "+._-");
    if (separator ? after_separator : !is_one_of(c, kDigits) && !is_one_of(c, kLower)) return false;
    after_separator = separator;
  }
  return !after_separator;
}

void check_digest(Decoding& decoding, const json::Place& place, std::string_view digest) {
  if (is_digest(digest)) return;
  decoding.fail(place, "is " + quoted(digest, 160) + ", which is no digest",
                "a digest is \"sha256:\" and 64 lower-case hexadecimal digits");
}

void check_descriptor(Decoding& decoding, const json::Place& place, const Descriptor& descriptor) {
  if (!is_media_type(descriptor.media_type)) {
    decoding.fail(json::Place(place, "mediaType"),
                  "is " + quoted(descriptor.media_type, 160) + ", which is no media type",
                  "use a registry that serves well-formed documents");
  }
  check_digest(decoding, json::Place(place, "digest"), descriptor.digest);
  if (descriptor.size < 0) {
    decoding.fail(json::Place(place, "size"), "is negative",
                  "use a registry that serves well-formed documents");
  }
}

void check_descriptors(Decoding& decoding, const json::Place& place,
                       const std::vector<Descriptor>& descriptors) {
  for (std::size_t i = 0; i < descriptors.size() && !decoding.failed(); ++i) {
    check_descriptor(decoding, json::Place(place, i), descriptors[i]);
  }
}

// What a signature was made for must not be read as something else: the document's own media type,
// where it has one, is the one expected, and it lacks the fields of the other kind.
void check_document(Decoding& decoding, const json::Value& root, const json::Place& place,
                    std::string_view media_type, MediaKind kind, std::string_view foreign_field) {
  if (root.type() != json::Type::kObject) {
    return decoding.fail_type(place, json::type_name(json::Type::kObject), root);
  }
  const json::Value* const version = root.find("schemaVersion");
  if (version == nullptr || version->as_uint64() != 2) {
    decoding.fail(json::Place(place, "schemaVersion"), "is not 2",
                  "convert the image; other versions are obsolete");
  }
  if (!media_type.empty() && kind_of_media_type(media_type) != kind) {
    decoding.fail(json::Place(place, "mediaType"),
                  "is " + quoted(media_type, 160) + ", which is another kind of document",
                  "fetch the document by the media type that it has");
  }
  if (root.find(foreign_field) != nullptr) {
    decoding.fail(json::Place(place, foreign_field),
                  "has no place here: the document could be taken for another kind",
                  "do not use this image; look at where it comes from");
  }
}

template <class T, class Check>
Result<T> decode(std::string_view text, Check check) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  Decoding decoding;
  T out;
  read_object(decoding, document.root(), json::Place(), out);
  if (!decoding.failed()) check(decoding, document.root(), json::Place(), out);
  if (decoding.failed()) return std::unexpected(std::move(*decoding.error));
  return out;
}

template <class T>
std::string encode_versioned(const T& object, json::Style style) {
  std::string out;
  json::Writer writer(out, style);
  writer.begin_object();
  writer.member("schemaVersion", 2);
  ObjectWriter visit(writer);
  fields(visit, object);
  writer.end_object();
  return out;
}

}  // namespace

MediaKind kind_of_media_type(std::string_view media_type) {
  constexpr std::pair<std::string_view, MediaKind> kKinds[] = {
      {kMediaTypeIndex, MediaKind::kIndex},
      {kMediaTypeDockerIndex, MediaKind::kIndex},
      {kMediaTypeManifest, MediaKind::kManifest},
      {kMediaTypeDockerManifest, MediaKind::kManifest},
      {kMediaTypeConfig, MediaKind::kConfig},
      {kMediaTypeDockerConfig, MediaKind::kConfig},
      {kMediaTypeLayerTar, MediaKind::kLayerTar},
      {kMediaTypeLayerTarGzip, MediaKind::kLayerTarGzip},
      {kMediaTypeLayerTarZstd, MediaKind::kLayerTarZstd},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar", MediaKind::kLayerTar},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MediaKind::kLayerTarGzip},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MediaKind::kLayerTarZstd},
      {"application/vnd.docker.image.rootfs.diff.tar", MediaKind::kLayerTar},
      {"application/vnd.docker.image.rootfs.diff.tar.gzip", MediaKind::kLayerTarGzip},
      {"application/vnd.docker.image.rootfs.diff.tar.zstd", MediaKind::kLayerTarZstd},
      {"application/vnd.docker.image.rootfs.foreign.diff.tar", MediaKind::kLayerTar},
      {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", MediaKind::kLayerTarGzip},
  };
  for (const auto& [name, kind] : kKinds) {
    if (name == media_type) return kind;
  }
  return MediaKind::kOther;
}

std::string_view own_architecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__riscv)
  return "riscv64";
#elif defined(__s390x__)
  return "s390x";
#else
#error "name this architecture as images do"
#endif
}

bool is_digest(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_digest_algorithm(text.substr(0, colon))) return false;
  const std::string_view algorithm = text.substr(0, colon);
  const std::string_view encoded = text.substr(colon + 1);
  if (algorithm == "sha256" || algorithm == "sha512") {
    return encoded.size() == (algorithm == "sha256" ? 64U : 128U) &&
           encoded.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  }
  return !encoded.empty() && std::all_of(encoded.begin(), encoded.end(), [](char c) {
    return is_alphanumeric(c) || is_one_of(c, "=_-");
  });
}

Result<Index> decode_index(std::string_view text) {
  return decode<Index>(text, [](Decoding& decoding, const json::Value& root,
                                const json::Place& place, const Index& index) {
    check_document(decoding, root, place, index.media_type, MediaKind::kIndex, "layers");
    check_document(decoding, root, place, index.media_type, MediaKind::kIndex, "config");
    check_descriptors(decoding, json::Place(place, "manifests"), index.manifests);
    if (index.subject) {
      check_descriptor(decoding, json::Place(place, "subject"), *index.subject);
    }
  });
}

Result<Manifest> decode_manifest(std::string_view text) {
  return decode<Manifest>(text, [](Decoding& decoding, const json::Value& root,
                                   const json::Place& place, const Manifest& manifest) {
    check_document(decoding, root, place, manifest.media_type, MediaKind::kManifest, "manifests");
    check_descriptor(decoding, json::Place(place, "config"), manifest.config);
    check_descriptors(decoding, json::Place(place, "layers"), manifest.layers);
    if (manifest.subject) {
      check_descriptor(decoding, json::Place(place, "subject"), *manifest.subject);
    }
  });
}

Result<ImageConfig> decode_image_config(std::string_view text) {
  return decode<ImageConfig>(text, [](Decoding& decoding, const json::Value&,
                                      const json::Place& place, const ImageConfig& image) {
    const json::Place rootfs(place, "rootfs");
    if (image.rootfs.type != "layers") {
      decoding.fail(json::Place(rootfs, "type"),
                    "is " + quoted(image.rootfs.type, 64) + ", which is not \"layers\"",
                    "convert the image; no other type is defined");
    }
    const json::Place diff_ids(rootfs, "diff_ids");
    for (std::size_t i = 0; i < image.rootfs.diff_ids.size() && !decoding.failed(); ++i) {
      check_digest(decoding, json::Place(diff_ids, i), image.rootfs.diff_ids[i]);
    }
  });
}

Result<void> check_image_layout(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const json::Value* const version = document.root().find("imageLayoutVersion");
  if (version != nullptr && version->as_string() == kImageLayoutVersion) return {};
  return fail(ErrorKind::kInvalid, "/imageLayoutVersion is not \"1.0.0\"",
              "convert the directory to an OCI image layout");
}

std::string encode(const Index& index, json::Style style) { return encode_versioned(index, style); }

std::string encode(const Manifest& manifest, json::Style style) {
  return encode_versioned(manifest, style);
}

std::string encode(const ImageConfig& config, json::Style style) {
  std::string out;
  json::Writer writer(out, style);
  write_value(writer, config);
  return out;
}

std::string encode_image_layout() {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  writer.member("imageLayoutVersion", kImageLayoutVersion);
  writer.end_object();
  return out;
}

}  // namespace bulkhead::oci
