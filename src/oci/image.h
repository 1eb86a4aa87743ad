// The image-spec's documents (and Docker's schema 2, which has the same shape) as value types.
// Decoding validates: digests, media types and versions in what is returned are well formed, so
// that a digest may become part of a file's name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/writer.h"
#include "oci/spec.h"

namespace bulkhead::oci {

// --- media types -------------------------------------------------------------------------------

enum class MediaKind {
  kIndex,
  kManifest,
  kConfig,
  kLayerTar,  // uncompressed
  kLayerTarGzip,
  kLayerTarZstd,
  kOther,
};

// Of OCI's and Docker's names, non-distributable ("foreign") layers included.
MediaKind kind_of_media_type(std::string_view media_type);

inline constexpr std::string_view kMediaTypeIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kMediaTypeManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kMediaTypeConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kMediaTypeLayerTar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kMediaTypeLayerTarGzip =
    "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kMediaTypeLayerTarZstd =
    "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kMediaTypeDockerIndex =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kMediaTypeDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kMediaTypeDockerConfig =
    "application/vnd.docker.container.image.v1+json";

// "algorithm:encoded" as the specification spells it; sha256 and sha512 with exactly their number
// of lower-case hexadecimal digits.
bool is_digest(std::string_view text);

// --- descriptors -------------------------------------------------------------------------------

struct Platform {
  std::string architecture;  // "amd64"
  std::string os;            // "linux"
  std::string os_version;
  std::vector<std::string> os_features;
  std::string variant;  // "v8"
};

struct Descriptor {
  std::string media_type;
  std::string digest;     // "sha256:…"
  std::int64_t size = 0;  // bytes
  std::vector<std::string> urls;
  Annotations annotations;
  std::string data;  // the content itself, base64
  std::string artifact_type;
  std::optional<Platform> platform;
};

struct Index {
  std::string media_type;  // may be empty
  std::string artifact_type;
  std::vector<Descriptor> manifests;
  std::optional<Descriptor> subject;
  Annotations annotations;
};

struct Manifest {
  std::string media_type;  // may be empty
  std::string artifact_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // the lowest first
  std::optional<Descriptor> subject;
  Annotations annotations;
};

// "amd64", "arm64": what Go, and so an image's platform, calls this machine.
std::string_view own_architecture();

// --- configuration -----------------------------------------------------------------------------

// Go's map[string]struct{}: only the keys mean something.
struct Nothing {};
using NameSet = std::map<std::string, Nothing>;

// Docker's extension. Times in nanoseconds; 0: not said.
struct HealthTest {
  std::vector<std::string> test;  // {"NONE"}, {"CMD", program, ...}, {"CMD-SHELL", text}
  std::int64_t interval = 0;
  std::int64_t timeout = 0;
  std::int64_t start_period = 0;
  std::int64_t start_interval = 0;
  std::int64_t retries = 0;
};

struct ExecutionParameters {
  std::string user;       // "name", "uid", "name:group", "uid:gid", ...
  NameSet exposed_ports;  // "8080/tcp"
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  NameSet volumes;  // "/var/lib/data"
  std::string working_dir;
  std::map<std::string, std::string> labels;
  std::string stop_signal;  // "SIGTERM", "15"
  std::optional<HealthTest> healthcheck;
  std::vector<std::string> shell;  // of the shell forms; empty: /bin/sh -c
};

struct LayerIds {
  std::string type = "layers";
  std::vector<std::string> diff_ids;  // digests of the uncompressed layers, the lowest first
};

struct HistoryEntry {
  std::string created;
  std::string author;
  std::string created_by;
  std::string comment;
  bool empty_layer = false;
};

struct ImageConfig {
  std::string created;  // RFC 3339
  std::string author;
  std::string architecture;
  std::string variant;
  std::string os;
  std::string os_version;
  std::vector<std::string> os_features;
  ExecutionParameters config;
  LayerIds rootfs;
  std::vector<HistoryEntry> history;
};

// The file `oci-layout` of an image layout directory.
inline constexpr std::string_view kImageLayoutVersion = "1.0.0";

// --- reading and writing -------------------------------------------------------------------------

// A document that could be read both as an index and as a manifest is refused by both.
Result<Index> decode_index(std::string_view text);
Result<Manifest> decode_manifest(std::string_view text);
Result<ImageConfig> decode_image_config(std::string_view text);
Result<void> check_image_layout(std::string_view text);

std::string encode(const Index& index, json::Style style = json::Style::kCompact);
std::string encode(const Manifest& manifest, json::Style style = json::Style::kCompact);
std::string encode(const ImageConfig& config, json::Style style = json::Style::kCompact);
std::string encode_image_layout();

}  // namespace bulkhead::oci
