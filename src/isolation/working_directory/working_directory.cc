#include "isolation/working_directory/working_directory.h"

#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "sys/file.h"
#include "sys/root_dir.h"

namespace bulkhead::isolation {
namespace {

constexpr const char* kLeaves =
    "open working directory (it leads through a link of /proc, which may leave the container)";

SysResult<Fd> open_or_make(const char* path, bool make_if_missing) noexcept {
  auto directory = open_at2(AT_FDCWD, path, O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
  const int error = directory ? 0 : directory.error().error;
  // Without openat2 (before Linux 5.6) the path is walked.
  const bool walk = error == ENOSYS;
  if (!walk && (error != ENOENT || !make_if_missing)) return directory;
  TRY_ASSIGN(const Fd root, open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  if (walk) {
    directory = RootDir(root.get()).open(path, O_PATH | O_DIRECTORY);
    if (directory || directory.error().error != ENOENT || !make_if_missing) return directory;
  }
  return RootDir(root.get()).make_directories(path, 0755);
}

SysError in_words(const SysError& error, const char* path) noexcept {
  switch (error.error) {
    case ELOOP: return {kLeaves, ELOOP, path};
    case ENOTDIR: return {"open working directory (a part of it is no directory)", ENOTDIR, path};
    default: return {"open working directory", error.error, path};
  }
}

}  // namespace

Result<WorkingDirectory::Plan> WorkingDirectory::describe(const Request& request,
                                                          const HostFacts&) {
  Plan plan;
  if (!request.spec.process) return plan;
  plan.path = request.spec.process->cwd;
  plan.make_if_missing = !request.joining;
  if (!plan.path.starts_with('/'))
    return fail(ErrorKind::kInvalid,
                "/process/cwd: " + quoted(plan.path) + " is not an absolute path",
                "write it from the container's root on: \"/\"");
  if (plan.path.find('\0') != std::string::npos || plan.path.size() >= PATH_MAX)
    return fail(ErrorKind::kInvalid, "/process/cwd: " + quoted(plan.path) + " is no path");
  return plan;
}

Explanation WorkingDirectory::explain(const Plan& plan) {
  Explanation explanation;
  if (plan.path.empty()) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "there is no process";
    return explanation;
  }
  explanation.facts.push_back({"directory", quoted(plan.path),
                               plan.make_if_missing ? "made if it is missing" : "must be there"});
  return explanation;
}

SysResult<void> WorkingDirectory::apply(const Plan& plan, ChildContext&) noexcept {
  if (plan.path.empty()) return {};
  const auto directory = open_or_make(plan.path.c_str(), plan.make_if_missing);
  if (!directory) return std::unexpected(in_words(directory.error(), plan.path.c_str()));
  if (::fchdir(directory->get()) != 0) return sys_fail("chdir", plan.path.c_str());
  return {};
}

SysResult<void> WorkingDirectory::verify(const Plan& plan, ChildContext&) noexcept {
  if (plan.path.empty()) return {};
  char path[PATH_MAX];
  // The raw call: the C library's would walk up the directories by itself when the kernel says that
  // the place cannot be reached.
  const long size = ::syscall(SYS_getcwd, path, sizeof path);
  if (size < 0) return sys_fail("getcwd", plan.path.c_str());
  if (path[0] != '/')
    return not_held("the working directory is outside of the container's root", plan.path.c_str());
  if (plan.path == static_cast<const char*>(path)) return {};
  // Another spelling of the same place (symbolic links, a slash at the end)?
  struct stat here{};
  struct stat there{};
  if (::fstatat(AT_FDCWD, "", &here, AT_EMPTY_PATH) != 0) return sys_fail("stat working directory");
  if (::fstatat(AT_FDCWD, plan.path.c_str(), &there, 0) != 0) {
    // The program's user need not be able to reach where root has put it.
    if (errno == EACCES) return {};
    return sys_fail("stat", plan.path.c_str());
  }
  if (here.st_dev != there.st_dev || here.st_ino != there.st_ino)
    return not_held("the working directory is another", plan.path.c_str());
  return {};
}

}  // namespace bulkhead::isolation
