#include "isolation/masked_paths/masked_paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "base/text.h"
#include "isolation/masked_paths/mask.h"
#include "sys/uapi.h"

namespace bulkhead::isolation {
namespace {

Result<std::vector<Place>> places_of(const std::vector<std::string>& paths,
                                     const MountLayout& layout, std::string_view field) {
  std::vector<Place> places;
  places.reserve(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::string& path = paths[i];
    if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos)
      return fail(ErrorKind::kInvalid,
                  "/linux/" + std::string(field) + "/" + std::to_string(i) + ": " + quoted(path) +
                      " is not an absolute path",
                  "name it as the container sees it");
    std::string clean = clean_path(path);
    if (clean == "/" && field == "maskedPaths")
      return fail(ErrorKind::kInvalid,
                  "/linux/maskedPaths/" + std::to_string(i) + ": the root cannot be masked");
    places.push_back(layout.place_of(std::move(clean)));
  }
  return places;
}

// Reading gives nothing: an empty file system that cannot be written, or the null device.
SysResult<void> check_masked(const char* path) noexcept {
  struct stat status{};
  if (::stat(path, &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return {};
    return sys_fail("stat", path);
  }
  if (!S_ISDIR(status.st_mode)) {
    if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) return {};
    return not_held("a masked file can be read", path);
  }
  struct statfs system{};
  if (::statfs(path, &system) != 0) return sys_fail("statfs", path);
  if (system.f_type != TMPFS_MAGIC || (system.f_flags & ST_RDONLY) == 0)
    return not_held("a masked directory can be read", path);
  return {};
}

SysResult<void> check_read_only(const char* path) noexcept {
  struct statfs system{};
  if (::statfs(path, &system) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return {};
    return sys_fail("statfs", path);
  }
  if ((system.f_flags & ST_RDONLY) == 0) return not_held("a read-only path can be written", path);
  return {};
}

}  // namespace

Result<MaskedPathsPlan> MaskedPaths::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  if (request.joining) return plan;
  const MountLayout layout(request.spec);
  TRY_ASSIGN(plan.masked, places_of(request.spec.linux_.masked_paths, layout, "maskedPaths"));
  TRY_ASSIGN(plan.read_only,
             places_of(request.spec.linux_.readonly_paths, layout, "readonlyPaths"));
  if (host.selinux) plan.label = request.spec.linux_.mount_label;
  return plan;
}

Explanation MaskedPaths::explain(const Plan& plan) {
  Explanation explanation;
  if (plan.masked.empty() && plan.read_only.empty()) {
    explanation.standing = Standing::kOpened;
    explanation.reason = "the spec lists neither masked nor read-only paths";
  }
  for (const Place& place : plan.masked)
    explanation.facts.push_back({place.absolute, "masked", ""});
  for (const Place& place : plan.read_only)
    explanation.facts.push_back({place.absolute, "read-only", ""});
  return explanation;
}

SysResult<void> MaskedPaths::apply(const Plan& plan, ChildContext& child) noexcept {
  Masker masker(child, plan.label.empty() ? nullptr : plan.label.c_str());
  for (const Place& place : plan.read_only) TRY(masker.make_read_only(place));
  for (const Place& place : plan.masked) TRY(masker.mask(place));
  return {};
}

// The first and the last of each list, by their path as the container will use it.
SysResult<void> MaskedPaths::verify(const Plan& plan, ChildContext&) noexcept {
  const auto is_sampled = [](std::size_t index, std::size_t size) {
    return index == 0 || index + 1 == size;
  };
  for (std::size_t i = 0; i < plan.masked.size(); ++i)
    if (is_sampled(i, plan.masked.size())) TRY(check_masked(plan.masked[i].absolute.c_str()));
  for (std::size_t i = 0; i < plan.read_only.size(); ++i)
    if (is_sampled(i, plan.read_only.size()))
      TRY(check_read_only(plan.read_only[i].absolute.c_str()));
  return {};
}

}  // namespace bulkhead::isolation
