#include "storage/unpack/blob_source.h"

#include <linux/openat2.h>
#include <sys/stat.h>

#include <optional>
#include <vector>

#include "base/text.h"
#include "storage/unpack/digest.h"
#include "storage/unpack/tar_headers.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kInside = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
constexpr std::size_t kMostMembers = 20'000;
constexpr int kMostHops = 8;

// "a/../b/./c" as "b/c"; nothing for what leads out of the archive.
std::optional<std::string> normalised(std::string_view path) {
  std::vector<std::string_view> parts;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return std::nullopt;
    } else {
      parts.pop_back();
    }
  }
  std::string text;
  for (const std::string_view part : parts) text.append(text.empty() ? "" : "/").append(part);
  return text;
}

std::string directory_of(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string::npos ? std::string() : name.substr(0, slash + 1);
}

}  // namespace

Result<BlobSource> BlobSource::open(const std::string& path) {
  TRY_ASSIGN(Fd file, open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  TRY_ASSIGN(BlobSource source, adopt(std::move(file), path));
  if (source.is_directory_ || source.has("index.json")) return source;
  if (source.has("manifest.json"))
    return fail(ErrorKind::kUnsupported, "this is an archive of docker save's own format",
                "take it in by bulkhead load --input FILE, and run it by its name");
  return fail(ErrorKind::kInvalid, "this is not an OCI archive: it has no index.json",
              "an OCI archive is made by: skopeo copy docker://… oci-archive:FILE");
}

Result<BlobSource> BlobSource::adopt(Fd file, const std::string& name) {
  BlobSource source;
  source.file_ = std::move(file);
  struct stat status{};
  if (::fstat(source.file_.get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, name.c_str()}));
  if (S_ISDIR(status.st_mode)) {
    source.is_directory_ = true;
  } else if (S_ISREG(status.st_mode)) {
    TRY(source.index_archive());
  } else {
    return fail(ErrorKind::kInvalid, quoted(name) + " is neither a directory nor a file");
  }
  return source;
}

Result<void> BlobSource::index_archive() {
  TarHeaders headers(file_.get());
  for (;;) {
    TRY_ASSIGN(const auto member, headers.next());
    if (!member) return {};
    if (!member->regular && member->link.empty()) continue;
    if (places_.size() + links_.size() >= kMostMembers)
      return fail(ErrorKind::kInvalid, "the archive has too many members");
    std::string name = member->name;
    while (name.starts_with("./")) name.erase(0, 2);
    // Readers differ in which of two they take: an archive must not mean two things.
    if (places_.contains(name) || links_.contains(name))
      return fail(ErrorKind::kInvalid, "the archive has two members named " + quoted(name),
                  "what reads the first and what reads the last would see different images");
    if (member->regular)
      places_.emplace(std::move(name), Place{member->offset, member->size});
    else
      links_.emplace(std::move(name), member->link);
  }
}

bool BlobSource::has(const std::string& name) const {
  if (!is_directory_) return places_.contains(name);
  return ::faccessat(file_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<SourceIdentity> BlobSource::identity() const {
  struct stat status{};
  const int error = is_directory_ ? ::fstatat(file_.get(), "index.json", &status, 0)
                                  : ::fstat(file_.get(), &status);
  if (error != 0) return std::unexpected(Error(SysError{"stat", errno, "index.json"}));
  return SourceIdentity::of(status);
}

Result<Extent> BlobSource::find(const std::string& name) const {
  Extent extent;
  if (!is_directory_) {
    // Layers that images share stand in the archive once, and as links elsewhere.
    std::string real = name;
    for (int hops = 0; hops < kMostHops && links_.contains(real); ++hops) {
      auto target = normalised(directory_of(real) + links_.find(real)->second);
      if (!target || links_.find(real)->second.starts_with('/'))
        return fail(ErrorKind::kInvalid, "in the archive, " + quoted(name) + " leads out of it");
      real = *std::move(target);
    }
    const auto place = places_.find(real);
    if (place == places_.end())
      return fail(ErrorKind::kNotFound, "the archive has no " + quoted(name));
    extent.fd = file_.get();
    extent.offset = place->second.offset;
    extent.size = place->second.size;
    return extent;
  }
  auto file = open_at2(file_.get(), name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY, kInside);
  if (!file) return std::unexpected(Error(file.error()).within("the image layout"));
  struct stat status{};
  if (::fstat(file->get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, name.c_str()}));
  if (!S_ISREG(status.st_mode))
    return fail(ErrorKind::kInvalid,
                "in the image layout, " + quoted(name) + " is not a regular file");
  extent.owner = *std::move(file);
  extent.fd = extent.owner.get();
  extent.size = static_cast<std::uint64_t>(status.st_size);
  return extent;
}

Result<std::string> BlobSource::read(const std::string& name, std::size_t limit) const {
  TRY_ASSIGN(const Extent extent, find(name));
  auto text = read_extent(extent, limit);
  if (!text) return std::unexpected(std::move(text).error().within(quoted(name)));
  return text;
}

Result<std::string> BlobSource::read_blob(std::string_view hex, std::size_t limit) const {
  TRY_ASSIGN(std::string text, read("blobs/sha256/" + std::string(hex), limit));
  Sha256 digest;
  digest.update(text.data(), text.size());
  if (digest.hex() != hex)
    return fail(ErrorKind::kInvalid, "the blob " + std::string(hex) + " does not have that digest",
                "the image is damaged or was tampered with: fetch it again");
  return text;
}

Result<std::string> read_extent(const Extent& extent, std::size_t limit) {
  if (extent.size > limit)
    return fail(ErrorKind::kInvalid, "too large: " + std::to_string(extent.size) + " bytes");
  std::string text(extent.size, '\0');
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::pread(extent.fd, text.data() + done, text.size() - done,
                                  static_cast<off_t>(extent.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"pread", errno}));
    if (count == 0) return fail(ErrorKind::kInvalid, "cut short");
    done += static_cast<std::size_t>(count);
  }
  return text;
}

}  // namespace bulkhead::storage
