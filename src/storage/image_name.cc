#include "storage/image_name.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "sys/error.h"

namespace bulkhead::storage {
namespace {

bool exists(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0;
}

Result<std::string> absolute(std::string_view path) {
  if (path.starts_with('/')) return std::string(path);
  char buffer[PATH_MAX];
  if (::getcwd(buffer, sizeof buffer) == nullptr)
    return std::unexpected(Error(SysError{"getcwd", errno}));
  return std::string(buffer) + "/" + std::string(path);
}

// A tag is what the distribution specification calls one, and what layouts use beyond it ("a/b:1").
bool is_reference(std::string_view text) {
  return !text.empty() && text.size() <= 256 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("._-/:@+").find(c) != std::string_view::npos;
  });
}

// "PATH[:TAG]". A path may contain colons itself: the longest prefix that exists is the path.
Result<ImageSource> split_reference(std::string_view name, std::string_view path_and_tag) {
  ImageSource source;
  source.name = name;
  TRY_ASSIGN(const std::string whole, absolute(path_and_tag));
  if (path_and_tag.empty() || exists(whole)) {
    source.path = whole;
  } else {
    for (std::size_t at = whole.rfind(':'); at != std::string::npos && at > 0;
         at = whole.rfind(':', at - 1)) {
      const std::string path = whole.substr(0, at);
      if (!exists(path)) continue;
      source.path = path;
      source.reference = whole.substr(at + 1);
      break;
    }
  }
  if (source.path.empty())
    return fail(ErrorKind::kNotFound,
                "image " + quoted(name) + ": there is no such file or directory");
  if (!source.reference.empty() && !is_reference(source.reference))
    return fail(ErrorKind::kInvalid,
                "image " + quoted(name) + ": " + quoted(source.reference) + " is not a tag");
  return source;
}

}  // namespace

bool is_image_path(std::string_view name) {
  for (const std::string_view start : {"oci:", "oci-archive:", "/", "./", "../"})
    if (name.starts_with(start)) return true;
  return false;
}

std::string own_directory() {
  char buffer[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  if (size <= 0 || static_cast<std::size_t>(size) == sizeof buffer) return {};
  const std::string_view path(buffer, static_cast<std::size_t>(size));
  return std::string(path.substr(0, path.rfind('/')));
}

Result<ImageSource> find_image(std::string_view name,
                               const std::vector<std::string>& builtin_directories) {
  if (name.empty()) return fail(ErrorKind::kUsage, "the image's name is empty");
  if (name.size() > PATH_MAX || std::ranges::any_of(name, [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      }))
    return fail(ErrorKind::kInvalid,
                "image " + quoted(name) + ": too long, or with control characters in it");
  if (name.starts_with("oci:")) return split_reference(name, name.substr(4));
  if (name.starts_with("oci-archive:")) return split_reference(name, name.substr(12));
  if (name.starts_with('/') || name.starts_with("./") || name.starts_with("../"))
    return split_reference(name, name);

  const bool plain = is_reference(name) && name.find_first_of("/:@") == std::string_view::npos &&
                     !name.starts_with('.');
  if (plain) {
    for (const std::string& directory : builtin_directories) {
      ImageSource source{directory + "/" + std::string(name) + ".tar", "", std::string(name)};
      if (exists(source.path)) return source;
    }
  }
  return fail(
      ErrorKind::kNotFound, "no image " + quoted(name) + " on this host",
      "bulkhead images lists what there is; bulkhead load takes in an archive; a path to an OCI "
      "layout or archive begins with / or ./");
}

std::vector<std::string> builtin_image_directories() {
  const std::string own = own_directory();
  if (own.empty()) return {};
  return {own + "/../share/bulkhead/images", own + "/share/bulkhead/images"};
}

Result<std::string> find_helper(std::string_view name) {
  const std::string own = own_directory();
  for (const char* place : {"/", "/../libexec/bulkhead/"}) {
    std::string path = own + place + std::string(name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return fail(ErrorKind::kNotFound,
              "the program " + std::string(name) + " is neither in " + quoted(own) + " nor in " +
                  quoted(own + "/../libexec/bulkhead"),
              "install Bulkhead whole: cmake --install puts it there");
}

}  // namespace bulkhead::storage
