#include "engine/exec.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "engine/container_user.h"
#include "engine/events.h"
#include "engine/foreign_runtime.h"
#include "engine/metadata.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "oci/decode.h"
#include "oci/encode.h"
#include "runtime/exec.h"
#include "runtime/record.h"
#include "sys/file.h"
#include "sys/root_dir.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostUserFile = 1 << 20;

// A file of the running container, which is hostile: nothing is resolved outside its root, and nothing
// but a regular file is opened.
Result<std::optional<std::string>> read_inside(int root, const char* name) {
  const std::string path = "etc/" + std::string(name);
  const auto found = RootDir(root).open(path.c_str(), O_PATH);
  if (!found && (found.error().error == ENOENT || found.error().error == ENOTDIR))
    return std::nullopt;
  if (!found) return std::unexpected(Error(found.error()));
  struct stat status{};
  if (::fstat(found->get(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail(ErrorKind::kInvalid,
                "the container's /etc/" + std::string(name) + " is not a regular file");
  const std::string again = "/proc/self/fd/" + std::to_string(found->get());
  TRY_ASSIGN(std::string text, read_file_at(AT_FDCWD, again.c_str(), kMostUserFile));
  return text;
}

Result<void> choose_user(const StoreOptions& options, const ListedContainer& container,
                         const std::string& user, runtime::ExecOptions& exec) {
  TRY_ASSIGN(const auto directory,
             runtime::ContainerDirectory::open(state_root_of(options), container.id));
  TRY_ASSIGN(const auto init, directory.first_process());
  if (!init) return fail(ErrorKind::kState, "the container has no process");
  TRY_ASSIGN(const PidFd process, runtime::ContainerDirectory::hold(*init));
  const std::string path = "/proc/" + std::to_string(process.pid().value()) + "/root";
  TRY_ASSIGN(const Fd root, open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY));
  // Its pid may have been another's by the time that the path was resolved.
  if (process.has_exited()) return fail(ErrorKind::kState, "the container has just ended");
  TRY_ASSIGN(const oci::User resolved, resolve_user(user, "--user", [&](const char* name) {
               return read_inside(root.get(), name);
             }));
  exec.user = std::to_string(resolved.uid.value()) + ":" + std::to_string(resolved.gid.value());
  for (const ContainerGid gid : resolved.additional_gids)
    exec.additional_gids.push_back(gid.value());
  return {};
}

// Without --interactive it reads nothing of ours; what is detached says nothing to us either.
Result<void> arrange_streams(const ExecChoices& choices) {
  if (choices.interactive && !choices.detach) return {};
  TRY_ASSIGN(const Fd nothing, open_at(AT_FDCWD, "/dev/null", O_RDWR));
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (stream != STDIN_FILENO && !choices.detach) break;
    if (::dup2(nothing.get(), stream) < 0) return std::unexpected(Error(SysError{"dup2", errno}));
  }
  return {};
}

// The events of one exec.
class ExecEvents {
 public:
  ExecEvents(const StoreOptions& options, const ListedContainer& container, std::string id)
      : options_(options), subject_(EventSubject::of(container)), id_(std::move(id)) {}

  void begin(const std::vector<std::string>& command) const {
    std::string words;
    for (const std::string& word : command) words += ' ' + word;
    for (const char* const act : {"exec_create:", "exec_start:"})
      record_event(options_, subject_, act + words, {{"execID", id_}});
  }
  void end(int code) const {
    record_event(options_, subject_, "exec_die",
                 {{"execID", id_}, {"exitCode", std::to_string(code)}});
  }

 private:
  const StoreOptions& options_;
  EventSubject subject_;
  std::string id_;
};

int code_of_failure(const Error& error) {
  if (error.kind() == ErrorKind::kCommandNotFound) return 127;
  return error.kind() == ErrorKind::kCommandNotExecutable ? 126 : 125;
}

// runc wants the directory to be there that the root file system was mounted on, for which the launch had a
// mount namespace of its own; so has this process, with an empty one.
Result<void> make_working_place(const std::string& root) {
  if (::access(root.c_str(), F_OK) == 0) return {};
  const std::string above = root.substr(0, root.rfind('/'));
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      ::mount("tmpfs", above.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=64k") != 0 ||
      ::mkdir(root.c_str(), 0711) != 0)
    return std::unexpected(Error(SysError{"mount", errno, "the container's place"}));
  return {};
}

// Another runtime joins its own container: it takes our place. The process is the container's own but for
// what was asked for, so that it never has more.
Result<int> exec_foreign(const StoreOptions& options, const std::string& program,
                         const runtime::ExecOptions& exec) {
  TRY_ASSIGN(const auto directory,
             runtime::ContainerDirectory::open(exec.common.state_root, exec.id));
  TRY_ASSIGN(const std::string config, directory.read_config());
  TRY_ASSIGN(const oci::Spec spec, oci::decode_spec(config));
  TRY_ASSIGN(const oci::Process process, runtime::changed_process(*spec.process, exec));
  // By a descriptor that the runtime inherits: nothing is left of it.
  const Fd file(::memfd_create("process", 0));
  if (!file) return std::unexpected(Error(SysError{"memfd_create", errno}));
  const std::string text = oci::encode(process);
  TRY(write_all(file.get(), text.data(), text.size()));
  if (spec.root) TRY(make_working_place(spec.root->path));
  std::vector<std::string> words = runtime_words(options.runroot, program);
  words.insert(words.end(), {"exec", "--process", "/proc/self/fd/" + std::to_string(file.get())});
  if (exec.detach) words.emplace_back("--detach");
  words.push_back(exec.id);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(program.c_str(), arguments.data());
  return std::unexpected(Error(SysError{"execve", errno, program.c_str()}));
}

}  // namespace

Result<int> exec(const StoreOptions& options, const ListedContainer& container,
                 const ExecChoices& choices, const Warn& warn) {
  if (container.status == ContainerStatus::kPaused)
    return fail(ErrorKind::kState, "container " + quoted(container.name) + " is paused",
                "let it go on first: bulkhead unpause " + container.name);
  if (!runs(container.status))
    return fail(ErrorKind::kState, "container " + quoted(container.name) + " is not running");
  if (choices.terminal && choices.detach)
    return fail(ErrorKind::kUnsupported, "--tty with --detach: nobody would hold the terminal",
                "leave one of them out");
  if (choices.terminal && choices.interactive && ::isatty(STDIN_FILENO) == 0)
    return fail(ErrorKind::kUsage, "--tty with --interactive: the standard input is not a terminal",
                "leave --tty out when the input is a pipe or a file");
  runtime::ExecOptions exec;
  exec.common.state_root = state_root_of(options);
  exec.id = container.id;
  exec.args = choices.command;
  exec.tty = choices.terminal;
  exec.detach = choices.detach;
  if (choices.workdir) exec.cwd = *choices.workdir;
  if (choices.terminal) exec.env.emplace_back("TERM=xterm");
  RunOptions given;
  given.env = choices.env;
  given.env_files = choices.env_files;
  TRY_ASSIGN(const std::vector<std::string> env, read_environment(given));
  exec.env.insert(exec.env.end(), env.begin(), env.end());
  if (choices.user) TRY(choose_user(options, container, *choices.user, exec));
  TRY(arrange_streams(choices));
  TRY_ASSIGN(std::string id, new_id());
  const ExecEvents events(options, container, std::move(id));
  events.begin(choices.command);
  // What another runtime does in our place ends unseen.
  if (const auto program = foreign_runtime_of(options.runroot, container.id))
    return exec_foreign(options, *program, exec);
  auto result = runtime::exec_in_container(exec);
  if (!result) {
    events.end(code_of_failure(result.error()));
    return std::unexpected(std::move(result).error());
  }
  // What is detached ends unseen.
  if (choices.detach) return result->exit.shell_code();
  events.end(result->exit.shell_code());
  for (const std::string& warning : result->warnings) warn(warning);
  return result->exit.shell_code();
}

}  // namespace bulkhead::engine
