// Where the engines' files are, and how they are replaced.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/text.h"
#include "engine/integrate.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kLargestFile = 1 << 20;

std::string home_configuration() {
  if (const char* const directory = std::getenv("XDG_CONFIG_HOME");
      directory != nullptr && directory[0] == '/')
    return directory;
  if (const char* const home = std::getenv("HOME"); home != nullptr && home[0] == '/')
    return std::string(home) + "/.config";
  return {};
}

// The file behind symbolic links, which stay; the path itself when there is nothing.
Result<std::string> behind_links(const std::string& path) {
  char buffer[PATH_MAX];
  if (::realpath(path.c_str(), buffer) != nullptr) return std::string(buffer);
  if (errno != ENOENT) return std::unexpected(Error(SysError{"realpath", errno, path.c_str()}));
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0)
    return fail(ErrorKind::kInvalid, quoted(path) + " is a symbolic link that leads nowhere");
  return path;
}

Result<std::optional<std::string>> read_if_there(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return std::unexpected(Error(SysError{"stat", errno, path.c_str()}));
  }
  if (!S_ISREG(status.st_mode))
    return fail(ErrorKind::kInvalid, quoted(path) + " is not a regular file");
  TRY_ASSIGN(std::string text, read_file_at(AT_FDCWD, path.c_str(), kLargestFile));
  return text;
}

Result<void> make_parents(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string directory = path.substr(0, at);
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
      return std::unexpected(Error(SysError{"mkdir", errno, directory.c_str()}));
  }
  return {};
}

SysResult<void> fill(int file, const std::string& text, const struct stat* like) {
  TRY(write_all(file, text.data(), text.size()));
  if (like != nullptr && (::fchown(file, like->st_uid, like->st_gid) != 0 ||
                          ::fchmod(file, like->st_mode & 07777) != 0))
    return sys_fail("fchown or fchmod");
  if (::fsync(file) != 0) return sys_fail("fsync");
  return {};
}

// Either the old text or the whole new one is there, whatever happens.
Result<void> replace(const std::string& path, const std::string& text) {
  const std::string unfinished = path + ".bulkhead-" + std::to_string(::getpid());
  struct stat status{};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  {
    TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, unfinished.c_str(),
                                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    if (auto filled = fill(file.get(), text, exists ? &status : nullptr); !filled) {
      (void)::unlink(unfinished.c_str());
      return std::unexpected(Error(filled.error()).within(quoted(unfinished)));
    }
  }
  if (::rename(unfinished.c_str(), path.c_str()) != 0) {
    const SysError error{"rename", errno, path.c_str()};
    (void)::unlink(unfinished.c_str());
    return std::unexpected(Error(error));
  }
  return {};
}

std::unexpected<Error> of_file(Error error, const std::string& path) {
  if (error.kind() == ErrorKind::kPermission && error.hint().empty())
    error = std::move(error).with_hint("the engine's files belong to root: run it as root");
  return std::unexpected(std::move(error).within(quoted(path)));
}

Result<FileChange> registered(const std::string& path, const Registration& registration) {
  TRY_ASSIGN(const auto before, read_if_there(path));
  TRY_ASSIGN(const std::string after, with_registration(before, registration));
  if (before == after) return FileChange::kNone;
  TRY(make_parents(path));
  TRY(replace(path, after));
  return FileChange::kWritten;
}

Result<FileChange> unregistered(const std::string& path, OtherEngine engine) {
  TRY_ASSIGN(const auto before, read_if_there(path));
  if (!before) return FileChange::kNone;
  TRY_ASSIGN(const auto after, without_registration(*before, engine));
  if (before == after) return FileChange::kNone;
  if (after) {
    TRY(replace(path, *after));
    return FileChange::kWritten;
  }
  if (::unlink(path.c_str()) != 0)
    return std::unexpected(Error(SysError{"unlink", errno, path.c_str()}));
  return FileChange::kRemoved;
}

}  // namespace

Result<std::string> registration_file(OtherEngine engine) {
  const bool root = ::geteuid() == 0;
  if (engine == OtherEngine::kContainerd) return "/etc/containerd/config.toml";
  const std::string home = root ? std::string() : home_configuration();
  if (!root && home.empty())
    return fail(ErrorKind::kNotFound, "neither HOME nor XDG_CONFIG_HOME is set",
                "--file names the engine's file");
  if (engine == OtherEngine::kDocker)
    return root ? "/etc/docker/daemon.json" : home + "/docker/daemon.json";
  return (root ? std::string("/etc") : home) + "/containers/containers.conf.d/bulkhead.conf";
}

Result<std::string> installed_runtime() {
  char buffer[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  if (size <= 0) return std::unexpected(Error(SysError{"readlink", errno, "/proc/self/exe"}));
  std::string path(buffer, static_cast<std::size_t>(size));
  path.replace(path.rfind('/') + 1, std::string::npos, "bulkhead-runtime");
  if (::access(path.c_str(), X_OK) != 0)
    return fail(ErrorKind::kNotFound,
                "there is no bulkhead-runtime beside this program: " + quoted(path),
                "--runtime names it");
  return path;
}

Result<FileChange> register_in(const std::string& file, const Registration& registration) {
  auto path = behind_links(file);
  if (!path) return of_file(std::move(path).error(), file);
  auto change = registered(*path, registration);
  if (!change) return of_file(std::move(change).error(), file);
  return change;
}

Result<FileChange> unregister_in(const std::string& file, OtherEngine engine) {
  auto path = behind_links(file);
  if (!path) return of_file(std::move(path).error(), file);
  auto change = unregistered(*path, engine);
  if (!change) return of_file(std::move(change).error(), file);
  return change;
}

}  // namespace bulkhead::engine
