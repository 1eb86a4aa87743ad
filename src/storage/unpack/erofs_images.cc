#include "storage/unpack/erofs_images.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <memory>

#include "base/text.h"
#include "storage/helper_process.h"
#include "storage/record.h"
#include "storage/snapshotter.h"
#include "storage/store.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr const char* kWork = ".unfinished";  // in layers-erofs, of whoever holds the lock
constexpr const char* kImage = "image";
constexpr std::size_t kMostSaid = 64 << 10;

// The program's arguments. Metadata is read through the image's page cache whatever happens, so
// nothing of a file's content lies among it, and each file is one piece: no map of chunks would tell
// that somebody has read the file.
std::vector<std::string> arguments_of(const std::string& program) {
  return {program, "--quiet", "-Eforce-inode-extended,noinline_data",
          std::string(kWriterOutput) + "/" + kImage, kWriterLayer};
}

// What a tree takes up on the disk. By descriptor: the names are strangers'.
Result<std::uint64_t> bytes_on_disk(int parent, const char* name, int depth) {
  constexpr int kDeepest = 500;
  if (depth > kDeepest)
    return fail(ErrorKind::kUnsupported, "the layer has directories in directories without end");
  TRY_ASSIGN(Fd directory, open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory.get()), ::closedir);
  if (!stream) return std::unexpected(Error(SysError{"fdopendir", errno}));
  const int here = directory.release();
  std::uint64_t bytes = 0;
  while (const struct dirent* const entry = ::readdir(stream.get())) {
    const std::string_view child = entry->d_name;
    if (child == "." || child == "..") continue;
    struct stat status{};
    if (::fstatat(here, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
      return std::unexpected(Error(SysError{"stat", errno}));
    bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    if (!S_ISDIR(status.st_mode)) continue;
    TRY_ASSIGN(const std::uint64_t beneath, bytes_on_disk(here, entry->d_name, depth + 1));
    bytes += beneath;
  }
  return bytes;
}

Result<void> limit_size(int layer) {
  TRY_ASSIGN(const std::uint64_t bytes, bytes_on_disk(layer, ".", 0));
  const rlim_t most = bytes * kImageGrowth + kImageAllowance;
  const struct rlimit limit = {most, most};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0)
    return std::unexpected(Error(SysError{"setrlimit", errno, "RLIMIT_FSIZE"}));
  return {};
}

[[noreturn]] void become_writer(const std::string& program, int layer, int output, int said,
                                pid_t parent, ErofsWriterConfinement& confinement) {
  const auto give_up = [](std::string_view text) {
    ::_exit(write_all(2, text.data(), text.size()) ? 1 : 2);
  };
  std::vector<std::string> words = arguments_of(program);
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  char locale[] = "LC_ALL=C.UTF-8";
  char* const environment[] = {locale, nullptr};
  if (::dup2(said, 1) < 0 || ::dup2(said, 2) < 0) ::_exit(1);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(1);
  if (const auto limited = limit_size(layer); !limited) give_up(limited.error().message());
  if (const auto confined = confinement.enter(layer, output); !confined)
    give_up("locking the program in: " + confined.error().message());
  ::execve(arguments[0], arguments.data(), environment);
  give_up("it could not be executed");
  ::_exit(1);
}

// mkfs.erofs in its confinement, to its end.
Result<void> write_image(int layer, int output, ErofsWriterConfinement& confinement) {
  TRY_ASSIGN(const std::string program, find_system_program("mkfs.erofs", "erofs-utils"));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  const Fd out(ends[0]);
  Fd in(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (child == 0) become_writer(program, layer, output, in.get(), parent, confinement);
  in.reset();
  const auto said = read_fd(out.get(), kMostSaid);
  if (!said) (void)::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && said) return {};
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
    return fail(ErrorKind::kUnsupported,
                "the layer has holes in its files that would fill the disk as an EROFS image",
                "use --storage overlay for this image");
  std::string message = "mkfs.erofs ";
  message +=
      WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status)) : "failed";
  if (said && !trim(*said).empty()) message += ": " + quoted(trim(*said), 400);
  return fail(ErrorKind::kSystem, std::move(message));
}

// Synced, and under its name.
Result<void> publish(int directory, int work, const std::string& name) {
  struct stat status{};
  TRY_ASSIGN(const Fd image, open_at(work, kImage, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (::fstat(image.get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  // What made it may have been taken over by what it read: only a plain file of ours is mounted.
  if (!S_ISREG(status.st_mode) || status.st_nlink != 1 || status.st_uid != ::geteuid())
    return fail(ErrorKind::kInvalid, "mkfs.erofs has left something else than an image");
  if (::fchmod(image.get(), 0600) != 0) return std::unexpected(Error(SysError{"fchmod", errno}));
  if (::fsync(image.get()) != 0) return std::unexpected(Error(SysError{"fsync", errno}));
  if (::renameat(work, kImage, directory, name.c_str()) != 0)
    return std::unexpected(Error(SysError{"rename", errno, name.c_str()}));
  return {};
}

Result<void> make_image(int store, int directory, const std::string& diff_id,
                        ErofsWriterConfinement& confinement) {
  const std::string name = diff_id + ".erofs";
  if (::faccessat(directory, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) return {};
  const std::string path = layer_path(diff_id);
  TRY_ASSIGN(const Fd layer, open_at(store, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(remove_tree_at(directory, kWork));
  if (::mkdirat(directory, kWork, 0700) != 0)
    return std::unexpected(Error(SysError{"mkdir", errno, kWork}));
  TRY_ASSIGN(const Fd work, open_at(directory, kWork, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(write_image(layer.get(), work.get(), confinement));
  return publish(directory, work.get(), name);
}

}  // namespace

Result<void> make_erofs_images(const std::string& store, const std::vector<std::string>& diff_ids,
                               ErofsWriterConfinement& confinement) {
  TRY_ASSIGN(const Store opened, Store::open(store));
  if (::mkdirat(opened.get(), kErofsDirectory, 0700) != 0 && errno != EEXIST)
    return std::unexpected(Error(SysError{"mkdir", errno, kErofsDirectory}));
  TRY_ASSIGN(const Fd directory,
             open_at(opened.get(), kErofsDirectory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(lock_exclusive(directory.get()));
  Result<void> made;
  for (const std::string& diff_id : diff_ids) {
    if (!is_hex_digest(diff_id))
      return fail(ErrorKind::kUsage, quoted(diff_id) + " is not the name of a layer");
    made = make_image(opened.get(), directory.get(), diff_id, confinement);
    if (!made) {
      made = std::unexpected(std::move(made).error().within("layer " + diff_id.substr(0, 12)));
      break;
    }
  }
  TRY(remove_tree_at(directory.get(), kWork));
  if (made && ::fsync(directory.get()) != 0)
    return std::unexpected(Error(SysError{"fsync", errno, kErofsDirectory}));
  return made;
}

}  // namespace bulkhead::storage
