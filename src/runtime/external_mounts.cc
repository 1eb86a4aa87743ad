#include "runtime/external_mounts.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "isolation/mounts/options.h"
#include "isolation/mounts/place.h"

namespace bulkhead::runtime {
namespace {

using isolation::clean_path;
using Origin = ExternalMount::Origin;

// "\040" and the like.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto code = text[i] == '\\' && i + 3 < text.size()
                          ? parse_number<std::uint8_t>(text.substr(i + 1, 3), 8)
                          : std::nullopt;
    out.push_back(code ? static_cast<char>(*code) : text[i]);
    if (code) i += 3;
  }
  return out;
}

std::optional<MountEntry> parse_entry(std::string_view line) {
  MountEntry entry;
  const auto id = parse_number<int>(next_field(line, ' '));
  next_field(line, ' ');  // the parent's
  std::string_view device = next_field(line, ' ');
  const auto major_number = parse_number<unsigned>(next_field(device, ':'));
  const auto minor_number = parse_number<unsigned>(device);
  next_field(line, ' ');  // the root within the file system
  entry.mount_point = unescaped(next_field(line, ' '));
  const auto options = split(next_field(line, ' '), ',');
  if (!id || !major_number || !minor_number || !entry.mount_point.starts_with('/'))
    return std::nullopt;
  entry.id = *id;
  entry.device = makedev(*major_number, *minor_number);
  entry.idmapped = std::ranges::find(options, "idmapped") != options.end();
  return entry;
}

bool is_bind(const oci::Mount& mount) {
  return mount.type == "bind" || isolation::parse_mount_options(mount.options).bind;
}

constexpr std::array kDefaultDevices = {"/dev/null",   "/dev/zero",    "/dev/full",
                                        "/dev/random", "/dev/urandom", "/dev/tty"};

bool is_device(const oci::Spec& spec, std::string_view path) {
  return std::ranges::find(kDefaultDevices, path) != kDefaultDevices.end() ||
         std::ranges::any_of(spec.linux_.devices, [&](const oci::Device& device) {
           return clean_path(device.path) == path;
         });
}

// The configuration's bind mount with that destination; the last one counts.
const oci::Mount* bind_mount_at(const oci::Spec& spec, std::string_view destination) {
  for (auto mount = spec.mounts.rbegin(); mount != spec.mounts.rend(); ++mount)
    if (clean_path(mount->destination) == destination) return is_bind(*mount) ? &*mount : nullptr;
  return nullptr;
}

// Everything of the configuration that may be external, by where it is.
std::vector<ExternalMount> candidates(const oci::Spec& spec, const DestinationResolver& resolver) {
  std::vector<ExternalMount> found;
  const auto add = [&](Origin origin, const std::string& path, std::string destination = {}) {
    ExternalMount mount{origin, resolver.resolve(path), std::move(destination), {}};
    std::erase_if(found, [&](const auto& other) { return other.mount_point == mount.mount_point; });
    found.push_back(std::move(mount));
  };
  for (const oci::Mount& mount : spec.mounts) {
    std::string destination = clean_path(mount.destination);
    if (is_bind(mount)) add(Origin::kConfigured, destination, destination);
  }
  for (const char* path : kDefaultDevices) add(Origin::kHostDevice, path);
  for (const oci::Device& device : spec.linux_.devices)
    add(Origin::kHostDevice, clean_path(device.path));
  for (const std::string& path : spec.linux_.masked_paths)
    add(Origin::kNullDevice, clean_path(path));
  return found;
}

}  // namespace

std::vector<MountEntry> parse_mount_entries(std::string_view mountinfo) {
  std::vector<MountEntry> entries;
  for (const std::string_view line : split(mountinfo, '\n'))
    if (auto entry = parse_entry(line)) entries.push_back(*std::move(entry));
  return entries;
}

Result<std::vector<ExternalMount>> find_external_mounts(const oci::Spec& spec,
                                                        const std::vector<MountEntry>& mounts,
                                                        std::uint64_t null_device,
                                                        const DestinationResolver& resolver) {
  const std::vector<ExternalMount> possible = candidates(spec, resolver);
  std::vector<ExternalMount> found;
  for (const MountEntry& entry : mounts) {
    if (entry.idmapped)
      return fail(ErrorKind::kUnsupported,
                  "the mount at " + quoted(entry.mount_point) +
                      " is idmapped, which CRIU does not bring back",
                  "give the files the ids that the container is to see instead");
    // The longest that it is at or beneath.
    const ExternalMount* owner = nullptr;
    for (const ExternalMount& candidate : possible)
      if (isolation::is_at_or_beneath(entry.mount_point, candidate.mount_point) &&
          (owner == nullptr || candidate.mount_point.size() > owner->mount_point.size()))
        owner = &candidate;
    if (owner == nullptr) continue;
    ExternalMount mount = *owner;
    if (entry.mount_point != owner->mount_point) {
      if (owner->origin != Origin::kConfigured) continue;
      // A mount of the container's own inside a volume is no part of the volume.
      if (std::ranges::any_of(spec.mounts, [&](const oci::Mount& other) {
            return resolver.resolve(clean_path(other.destination)) == entry.mount_point;
          }))
        continue;
      mount.below =
          entry.mount_point.substr(owner->mount_point == "/" ? 0 : owner->mount_point.size());
      mount.mount_point = entry.mount_point;
    }
    // A masked directory has an empty file system of the container's own.
    if (mount.origin == Origin::kNullDevice && entry.device != null_device) continue;
    std::erase_if(found, [&](const auto& other) { return other.mount_point == mount.mount_point; });
    found.push_back(std::move(mount));
  }
  return found;
}

std::vector<ExternalMount> presumed_external_mounts(const oci::Spec& spec) {
  class AsWritten final : public DestinationResolver {
   public:
    std::string resolve(const std::string& destination) const override { return destination; }
  };
  return candidates(spec, AsWritten());
}

Result<std::string> source_of(const ExternalMount& mount, const oci::Spec& spec,
                              std::string_view bundle) {
  switch (mount.origin) {
    case Origin::kNullDevice: return "/dev/null";
    case Origin::kHostDevice:
      if (is_device(spec, mount.mount_point)) return mount.mount_point;
      return fail(ErrorKind::kInvalid,
                  "the checkpoint has the device " + quoted(mount.mount_point) +
                      ", which the configuration does not list",
                  "restore it with the configuration that it was made with");
    case Origin::kConfigured: break;
  }
  const oci::Mount* bind = bind_mount_at(spec, mount.destination);
  if (bind == nullptr)
    return fail(ErrorKind::kInvalid,
                "the checkpoint has a bind mount at " + quoted(mount.destination) +
                    ", which the configuration does not list",
                "restore it with the mounts that it was made with; the sources may be others");
  const std::string source =
      bind->source.starts_with('/') ? bind->source : std::string(bundle) + "/" + bind->source;
  return clean_path(source + mount.below);
}

}  // namespace bulkhead::runtime
