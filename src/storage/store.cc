#include "storage/store.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <ranges>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kLargestRecord = 8 << 20;

Result<void> make_directories(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    const mode_t mode = at == std::string::npos ? 0700 : 0755;
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
      return std::unexpected(Error(SysError{"mkdir", errno, part.c_str()}));
    if (at == std::string::npos) return {};
  }
}

// Runs the unpacker to its end. What it has to say goes to our standard error through a pipe, so
// that its last line can be the error.
Result<void> run_unpacker(const std::string& unpacker, const std::string& root,
                          const ImageSource& source) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  Fd out(ends[0]);
  Fd in(ends[1]);

  std::string arguments[] = {"bulkhead-unpack", root, source.path, source.reference};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // Nothing of the caller's environment steers a program that reads hostile files.
  char locale[] = "LC_ALL=C.UTF-8";
  char* const environment[] = {locale, nullptr};

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, in.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, in.get(), 2);
  pid_t child = -1;
  const int error =
      ::posix_spawn(&child, unpacker.c_str(), &actions, nullptr, argv.data(), environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::unexpected(Error(SysError{"posix_spawn", error, unpacker.c_str()}));
  in.reset();

  auto said = read_fd(out.get(), 1 << 20);
  if (!said) (void)::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  if (!said) return std::unexpected(std::move(said).error());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};

  const std::string context = "image " + quoted(source.name);
  if (WIFSIGNALED(status))
    return fail(ErrorKind::kSystem, context + ": the unpacker was killed by signal " +
                                        std::to_string(WTERMSIG(status)));
  std::string_view message = trim(*said);
  std::string_view hint;
  if (const std::size_t at = message.find("\nhint: "); at != std::string_view::npos) {
    hint = message.substr(at + 7);
    message = message.substr(0, at);
  }
  const ErrorKind kind = WEXITSTATUS(status) == 2 ? ErrorKind::kNotFound : ErrorKind::kInvalid;
  return fail(kind, context + ": " + std::string(message), std::string(hint));
}

}  // namespace

Result<Store> Store::open(const std::string& root) {
  if (!root.starts_with('/'))
    return fail(ErrorKind::kUsage, "--root " + quoted(root) + ": not an absolute path");
  constexpr int kFlags = O_RDONLY | O_DIRECTORY;
  auto directory = open_at(AT_FDCWD, root.c_str(), kFlags);
  if (!directory && directory.error().error == ENOENT) {
    TRY_WITHIN("making the store", make_directories(root));
    directory = open_at(AT_FDCWD, root.c_str(), kFlags);
  }
  if (!directory) return std::unexpected(Error(directory.error()).within("opening the store"));
  struct stat status{};
  if (::fstat(directory->get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, root.c_str()}));
  if (status.st_uid != ::geteuid() || (status.st_mode & 022) != 0)
    return fail(
        ErrorKind::kPermission,
        "the store " + quoted(root) + " belongs to somebody else, or others may write to it",
        "whoever can change a layer owns every container: chown it to this user and chmod 0700 "
        "it, or name another directory by --root");
  return Store(*std::move(directory), root);
}

Result<std::optional<ImageRecord>> Store::find(const ImageSource& source) const {
  // A layout directory changes its images by replacing or rewriting index.json.
  struct stat status{};
  if (::stat(source.path.c_str(), &status) != 0)
    return std::unexpected(
        Error(SysError{"stat", errno, source.path.c_str()}).within("image " + quoted(source.name)));
  if (S_ISDIR(status.st_mode)) {
    const std::string index = source.path + "/index.json";
    if (::stat(index.c_str(), &status) != 0)
      return fail(ErrorKind::kNotFound,
                  "image " + quoted(source.name) + ": the directory has no index.json",
                  "it must be an OCI image layout, as `skopeo copy docker://… oci:DIR` makes it");
  }
  const std::string key = source.key();
  const std::string path = "images/" + record_file_name(key);
  const auto file = open_at(get(), path.c_str(), O_RDONLY | O_NOFOLLOW);
  if (!file) {
    if (file.error().error == ENOENT) return std::nullopt;
    return std::unexpected(Error(file.error()).within("reading the store"));
  }
  TRY_ASSIGN(const std::string text, read_fd(file->get(), kLargestRecord));
  auto record = decode_record(text);
  if (!record || record->key != key || record->identity != SourceIdentity::of(status))
    return std::nullopt;
  for (const std::string& layer : record->layers)
    if (::faccessat(get(), layer_path(layer).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0)
      return std::nullopt;
  return *std::move(record);
}

Result<ImageRecord> Store::get_image(const ImageSource& source, const std::string& unpacker) const {
  TRY_ASSIGN(auto known, find(source));
  if (known) return *std::move(known);
  std::string program = unpacker;
  if (program.empty()) {
    TRY_ASSIGN(program, find_helper("bulkhead-unpack"));
  }
  TRY(run_unpacker(program, path_, source));
  TRY_ASSIGN(auto unpacked, find(source));
  if (unpacked) return *std::move(unpacked);
  return fail(ErrorKind::kState, "image " + quoted(source.name) + ": it changes while it is read",
              "wait until whatever writes it is done, and try again");
}

std::string layer_path(std::string_view diff_id) {
  std::string path = "layers/";
  path += diff_id;
  return path;
}

std::vector<std::string> lower_paths(const ImageRecord& record) {
  std::vector<std::string> paths;
  // A layer that comes twice (an empty one, say) is hidden whole by itself, and overlayfs refuses a
  // directory that is stacked on itself.
  for (const std::string& layer : std::views::reverse(record.layers))
    if (std::string path = layer_path(layer); std::ranges::find(paths, path) == paths.end())
      paths.push_back(std::move(path));
  if (paths.empty()) paths.emplace_back(kEmptyLayer);
  return paths;
}

}  // namespace bulkhead::storage
