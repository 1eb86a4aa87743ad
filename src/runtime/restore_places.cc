#include "runtime/restore_places.h"

#include <sys/stat.h>

#include <optional>

#include "base/text.h"
#include "isolation/mounts/options.h"
#include "isolation/mounts/place.h"
#include "sys/file.h"
#include "sys/root_dir.h"

namespace bulkhead::runtime {
namespace {

using isolation::clean_path;

bool is_bind_of_file(const oci::Mount& mount, std::string_view bundle) {
  if (mount.type != "bind" && !isolation::parse_mount_options(mount.options).bind) return false;
  const std::string source =
      mount.source.starts_with('/') ? mount.source : std::string(bundle) + "/" + mount.source;
  struct stat status{};
  return ::stat(source.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

}  // namespace

Result<void> make_mount_points(const oci::Spec& spec, const std::string& root,
                               std::string_view bundle) {
  TRY_ASSIGN(const Fd directory, open_at(AT_FDCWD, root.c_str(), O_PATH | O_DIRECTORY));
  const RootDir inside(directory.get());
  for (std::size_t index = 0; index < spec.mounts.size(); ++index) {
    const std::string path = clean_path(spec.mounts[index].destination);
    // What is beneath another mount is there as soon as that is.
    bool beneath = path == "/";
    for (std::size_t other = 0; other < spec.mounts.size() && !beneath; ++other) {
      const std::string above = clean_path(spec.mounts[other].destination);
      beneath = above != "/" && above != path && isolation::is_at_or_beneath(path, above);
    }
    if (beneath || inside.open(path.c_str(), O_PATH)) continue;
    const auto made = is_bind_of_file(spec.mounts[index], bundle)
                          ? inside.make_file(path.c_str(), 0644)
                          : inside.make_directories(path.c_str(), 0755);
    if (!made) return std::unexpected(Error(made.error()).within("making the mount point " + path));
  }
  return {};
}

std::vector<std::pair<std::string, std::string>> cgroup_roots(
    const isolation::CgroupLimits::Plan& plan, std::string_view own_groups) {
  std::vector<std::pair<std::string, std::string>> roots;
  for (std::string_view line : split(own_groups, '\n')) {
    next_field(line, ':');  // the hierarchy's number
    const std::string_view controllers = next_field(line, ':');
    if (line.empty()) continue;
    std::string path(line);
    for (const isolation::CgroupGroup& group : plan.groups) {
      std::string_view entry = group.proc_entry;
      if (next_field(entry, ':') == controllers) path = entry;
    }
    for (const std::string_view controller : split(controllers, ','))
      roots.emplace_back(controller, path);
  }
  return roots;
}

}  // namespace bulkhead::runtime
