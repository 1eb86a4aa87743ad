#include "storage/registry/platform.h"

#include <algorithm>

#include "base/text.h"
#include "storage/unpack/select_manifest.h"

namespace bulkhead::storage {
namespace {

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '.';
  });
}

// What Go calls an architecture.
void normalise(WantedPlatform& platform) {
  std::string& architecture = platform.architecture;
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "i386" || architecture == "i686") architecture = "386";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "armhf") {
    architecture = "arm";
    if (platform.variant.empty()) platform.variant = "v7";
  }
  if (architecture == "armel") {
    architecture = "arm";
    if (platform.variant.empty()) platform.variant = "v6";
  }
  // The only one that exists, and mostly left out.
  if (architecture == "arm64" && platform.variant == "v8") platform.variant.clear();
}

// How good a variant is where `wanted` is wanted; 0: not at all.
int rank(const WantedPlatform& wanted, std::string_view variant) {
  if (wanted.architecture == "arm64" && variant == "v8") variant = {};
  if (variant == wanted.variant) return 100;
  if (wanted.architecture == "arm") {
    // A newer ARM runs what was built for an older one.
    const auto number = [](std::string_view text) {
      return text.size() == 2 && text[0] == 'v' && text[1] >= '5' && text[1] <= '8' ? text[1] - '0'
                                                                                    : 0;
    };
    const int most = wanted.variant.empty() ? 7 : number(wanted.variant);
    const int offered = variant.empty() ? 6 : number(variant);
    return offered != 0 && offered <= most ? offered : 0;
  }
  // amd64's variants are levels of the instruction set: the plain one runs everywhere.
  if (variant.empty() && !wanted.variant.empty()) return 10;
  return 0;
}

std::string describe(const oci::Descriptor& descriptor) {
  if (!descriptor.platform) return "(no platform)";
  const oci::Platform& platform = *descriptor.platform;
  std::string text = platform.os + "/" + platform.architecture;
  if (!platform.variant.empty()) text += "/" + platform.variant;
  return quoted(text, 60);
}

}  // namespace

std::string WantedPlatform::text() const {
  std::string out = os + "/" + architecture;
  if (!variant.empty()) out += "/" + variant;
  return out;
}

WantedPlatform this_platform() {
  return {.os = "linux", .architecture = std::string(own_architecture())};
}

Result<WantedPlatform> parse_platform(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, '/');
  if (parts.size() > 3 || !std::ranges::all_of(parts, is_word))
    return fail(ErrorKind::kUsage, "--platform " + quoted(text) + ": not a platform",
                "OS/ARCHITECTURE[/VARIANT], such as linux/arm64 or linux/arm/v7");
  WantedPlatform platform;
  platform.by_user = true;
  if (parts.size() == 1) {
    platform.architecture = parts[0];
  } else {
    platform.os = parts[0];
    platform.architecture = parts[1];
    if (parts.size() == 3) platform.variant = parts[2];
  }
  if (platform.os != "linux")
    return fail(ErrorKind::kUnsupported,
                "--platform " + quoted(text) + ": only images for linux can be kept here",
                "name linux/ARCHITECTURE");
  normalise(platform);
  return platform;
}

bool fits(const WantedPlatform& wanted, const oci::Platform& platform) {
  return platform.os == wanted.os && platform.architecture == wanted.architecture &&
         rank(wanted, platform.variant) > 0;
}

Result<oci::Descriptor> choose_platform(const std::vector<oci::Descriptor>& manifests,
                                        const WantedPlatform& wanted) {
  const oci::Descriptor* best = nullptr;
  int best_rank = 0;
  for (const oci::Descriptor& manifest : manifests) {
    if (!manifest.platform || manifest.platform->os != wanted.os ||
        manifest.platform->architecture != wanted.architecture)
      continue;
    if (const int its = rank(wanted, manifest.platform->variant); its > best_rank) {
      best = &manifest;
      best_rank = its;
    }
  }
  if (best != nullptr) return *best;
  // An index that says nothing of its only image.
  if (manifests.size() == 1 && !manifests.front().platform) return manifests.front();
  std::string list;
  for (std::size_t i = 0; i < manifests.size() && i < 20; ++i)
    list.append(i == 0 ? "" : ", ").append(describe(manifests[i]));
  return fail(ErrorKind::kNotFound,
              "there is no image for " + wanted.text() + "; there is " +
                  (list.empty() ? std::string("nothing") : list),
              "name another one by --platform");
}

}  // namespace bulkhead::storage
