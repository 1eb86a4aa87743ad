#include "storage/registry/credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/text.h"
#include "storage/registry/credential_text.h"
#include "storage/registry/message.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostConfig = 4 << 20;
// What all helpers say, word for word, when they know nothing of a registry.
constexpr std::string_view kHelperKnowsNothing = "credentials not found in native keychain";

// Nothing when there is no file; an empty one counts as none, as Docker has it.
Result<std::optional<std::string>> read_config(const std::string& path) {
  const auto file = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NOCTTY);
  if (!file) {
    if (file.error().error == ENOENT || file.error().error == ENOTDIR) return std::nullopt;
    return std::unexpected(Error(file.error()));
  }
  TRY_ASSIGN(std::string text, read_fd(file->get(), kMostConfig));
  if (trim(text).empty()) return std::nullopt;
  return text;
}

// What a symbolic link leads to is replaced, and the link stays.
std::string behind_links(const std::string& path) {
  char buffer[PATH_MAX];
  return ::realpath(path.c_str(), buffer) != nullptr ? buffer : path;
}

Result<void> write_config(const std::string& path, const std::string& text) {
  const std::string target = behind_links(path);
  const std::string unfinished = target + ".bulkhead-" + std::to_string(::getpid());
  const auto written = [&]() -> Result<void> {
    TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, unfinished.c_str(),
                                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    struct stat before{};
    // Root may log in for somebody whose file it is.
    if (::stat(target.c_str(), &before) == 0 && before.st_uid != ::geteuid() &&
        ::fchown(file.get(), before.st_uid, before.st_gid) != 0)
      return std::unexpected(Error(SysError{"fchown", errno}));
    if (::fchmod(file.get(), 0600) != 0) return std::unexpected(Error(SysError{"fchmod", errno}));
    TRY(write_all(file.get(), text.data(), text.size()));
    if (::fsync(file.get()) != 0) return std::unexpected(Error(SysError{"fsync", errno}));
    if (::rename(unfinished.c_str(), target.c_str()) != 0)
      return std::unexpected(Error(SysError{"rename", errno}));
    return {};
  }();
  if (!written) (void)::unlink(unfinished.c_str());
  return written;
}

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

Error of_file(Error error, const std::string& path) {
  return std::move(error).within("the credentials in " + quoted(path));
}

// Changes by several logins at once follow one another.
Result<Fd> lock_directory(const std::string& path) {
  TRY(make_directories(directory_of(path)));
  TRY_ASSIGN(Fd directory, open_at(AT_FDCWD, directory_of(path).c_str(), O_RDONLY | O_DIRECTORY));
  TRY(lock_exclusive(directory.get()));
  return directory;
}

}  // namespace

Result<std::string> CredentialFile::default_path() {
  if (const char* const directory = std::getenv("DOCKER_CONFIG");
      directory != nullptr && directory[0] == '/')
    return std::string(directory) + "/config.json";
  if (const char* const home = std::getenv("HOME"); home != nullptr && home[0] == '/')
    return std::string(home) + "/.docker/config.json";
  return fail(ErrorKind::kState, "neither DOCKER_CONFIG nor HOME names a directory",
              "set HOME: credentials are kept in ~/.docker/config.json");
}

Result<std::optional<Credentials>> CredentialFile::find(std::string_view registry) const {
  const auto found = [&]() -> Result<std::optional<Credentials>> {
    TRY_ASSIGN(const auto config, read_config(path_));
    if (!config) return std::nullopt;
    TRY_ASSIGN(const std::string helper, helper_in(*config, registry));
    if (helper.empty()) return credentials_in(*config, registry);
    auto answer = helper_(helper, "get", credentials_key(registry));
    if (!answer) {
      if (answer.error().message().find(kHelperKnowsNothing) != std::string::npos)
        return std::nullopt;
      return std::unexpected(std::move(answer).error());
    }
    TRY_ASSIGN(Credentials credentials, decode_helper_answer(*answer));
    if (credentials.empty()) return std::nullopt;
    return credentials;
  }();
  if (!found) return std::unexpected(of_file(found.error(), path_));
  return found;
}

Result<CredentialFile::Place> CredentialFile::store(std::string_view registry,
                                                    const Credentials& credentials) const {
  const auto stored = [&]() -> Result<Place> {
    TRY_ASSIGN(const Fd lock, lock_directory(path_));
    TRY_ASSIGN(const auto config, read_config(path_));
    std::string helper;
    if (config) {
      TRY_ASSIGN(helper, helper_in(*config, registry));
    }
    if (!helper.empty())
      TRY(helper_(helper, "store", encode_for_helper(credentials_key(registry), credentials)));
    TRY_ASSIGN(const std::string text,
               with_credentials(config.value_or(""), registry,
                                helper.empty() ? credentials : Credentials()));
    TRY(write_config(path_, text));
    return helper.empty() ? Place::kFile : Place::kHelper;
  }();
  if (!stored) return std::unexpected(of_file(stored.error(), path_));
  return stored;
}

Result<bool> CredentialFile::erase(std::string_view registry) const {
  const auto erased = [&]() -> Result<bool> {
    TRY_ASSIGN(const auto before, read_config(path_));
    if (!before) return false;
    TRY_ASSIGN(const Fd lock, lock_directory(path_));
    TRY_ASSIGN(const auto config, read_config(path_));
    if (!config) return false;
    TRY_ASSIGN(const std::string helper, helper_in(*config, registry));
    bool known = false;
    if (!helper.empty()) {
      const auto answer = helper_(helper, "erase", credentials_key(registry));
      if (answer)
        known = true;
      else if (answer.error().message().find(kHelperKnowsNothing) == std::string::npos)
        return std::unexpected(answer.error());
    }
    TRY_ASSIGN(const auto text, without_credentials(*config, registry));
    if (text) TRY(write_config(path_, *text));
    return known || text;
  }();
  if (!erased) return std::unexpected(of_file(erased.error(), path_));
  return erased;
}

}  // namespace bulkhead::storage
