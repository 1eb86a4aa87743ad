#include "engine/foreign_runtime.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "json/parse.h"
#include "storage/helper_process.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostAnswer = 1 << 20;
constexpr const char* kRuntimeFile = "runtime";

std::string base_name(const std::string& program) { return program.substr(program.rfind('/') + 1); }

Result<Fd> make_buffer() {
  Fd buffer(::memfd_create("answer", MFD_CLOEXEC));
  if (!buffer) return std::unexpected(Error(SysError{"memfd_create", errno}));
  return buffer;
}

std::string read_buffer(const Fd& buffer) {
  if (::lseek(buffer.get(), 0, SEEK_SET) != 0) return {};
  return read_fd(buffer.get(), kMostAnswer).value_or("");
}

Result<int> run(const std::vector<std::string>& words, const RuntimeStreams& streams) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  // crun and runc look for helpers by PATH; nothing else of the caller's reaches them.
  char locale[] = "LC_ALL=C.UTF-8";
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* const environment[] = {locale, path, nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (const auto& [stream, fd] : {std::pair(STDIN_FILENO, streams.input),
                                   {STDOUT_FILENO, streams.output},
                                   {STDERR_FILENO, streams.error}})
    if (fd >= 0)
      ::posix_spawn_file_actions_adddup2(&actions, fd, stream);
    else
      ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, words.front().c_str(), &actions, nullptr,
                                  arguments.data(), environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return std::unexpected(Error(SysError{"posix_spawn", error, words.front().c_str()}));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  return status;
}

// The last message of its log, which is JSON, one object a line.
std::string last_message(std::string_view log) {
  std::string message;
  for (const std::string_view line : split(log, '\n')) {
    const auto document = json::parse(line);
    const json::Value* const text = document ? document->root().find("msg") : nullptr;
    if (text != nullptr) message = text->as_string();
  }
  return message;
}

// As Docker tells them apart: the standards have no other way.
ErrorKind kind_of(std::string_view message) {
  const auto says = [&](std::string_view words) {
    return message.find(words) != std::string::npos;
  };
  if (says("executable file") || says("no such file or directory: unknown") ||
      (says("exec") && says("o such file or directory")))
    return ErrorKind::kCommandNotFound;
  if (says("permission denied") || says("Permission denied") || says("is a directory") ||
      says("xec format error"))
    return ErrorKind::kCommandNotExecutable;
  return ErrorKind::kSystem;
}

}  // namespace

Result<std::string> find_runtime(const std::string& name) {
  if (name.empty() || name == "bulkhead") return std::string();
  if (name.find('/') == std::string::npos) {
    auto found = storage::find_system_program(name, name);
    if (found) return found;
    return fail(ErrorKind::kUsage, "--runtime " + quoted(name) + ": there is no such program",
                "name one that is installed, such as crun or runc, or give its path");
  }
  struct stat status{};
  if (!name.starts_with('/') || ::stat(name.c_str(), &status) != 0 || !S_ISREG(status.st_mode) ||
      ::access(name.c_str(), X_OK) != 0)
    return fail(ErrorKind::kUsage, "--runtime " + quoted(name) + ": not a program",
                "the absolute path of an executable file is expected");
  return name;
}

RuntimeAbilities abilities_of(const std::string& program) {
  RuntimeAbilities abilities;
  const auto answer = make_buffer();
  if (!answer) return abilities;
  const auto status = run({program, "features"}, {.output = answer->get()});
  if (!status || *status != 0) return abilities;
  const std::string text = read_buffer(*answer);
  const auto document = json::parse(text);
  const json::Value* const linux_ = document ? document->root().find("linux") : nullptr;
  const json::Value* const list = linux_ != nullptr ? linux_->find("namespaces") : nullptr;
  if (list != nullptr)
    for (const json::Value& item : list->items())
      abilities.time_namespace |= item.as_string() == "time";
  return abilities;
}

std::vector<std::string> runtime_words(const std::string& runroot, const std::string& program) {
  return {program, "--root", runroot + "/oci/" + base_name(program)};
}

Result<void> call_runtime(const std::string& runroot, const std::string& program,
                          const std::vector<std::string>& words, const RuntimeStreams& streams) {
  TRY(make_directories(runroot + "/oci"));
  // By a descriptor: nothing is left of it.
  TRY_ASSIGN(const Fd log, make_buffer());
  TRY_ASSIGN(const Fd said, make_buffer());
  const std::string log_path =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(log.get());
  std::vector<std::string> all = runtime_words(runroot, program);
  all.insert(all.end(), {"--log", log_path, "--log-format", "json"});
  all.insert(all.end(), words.begin(), words.end());
  RuntimeStreams used = streams;
  if (used.error < 0) used.error = said.get();
  TRY_ASSIGN(const int status, run(all, used));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string message = last_message(read_buffer(log));
  if (message.empty()) message = trim(read_buffer(said));
  if (message.empty())
    message = WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                                  : "exit code " + std::to_string(WEXITSTATUS(status));
  return fail(kind_of(message),
              base_name(program) + " " + words.front() + ": " + std::string(trim(message)));
}

std::string foreign_bundle(const std::string& runroot, std::string_view id) {
  return runroot + "/bundles/" + std::string(id);
}

std::optional<std::string> foreign_runtime_of(const std::string& runroot, std::string_view id) {
  const std::string path = foreign_bundle(runroot, id) + "/" + kRuntimeFile;
  auto program = read_file_at(AT_FDCWD, path.c_str());
  if (!program) return std::nullopt;
  return *std::move(program);
}

Result<void> end_foreign(const std::string& runroot, const std::string& id) {
  const auto program = foreign_runtime_of(runroot, id);
  const std::string bundle = foreign_bundle(runroot, id);
  if (program) {
    const auto ended = call_runtime(runroot, *program, {"delete", "--force", id});
    // It was killed before it had made anything, or after it had taken everything away; or its program
    // is gone, and what it has made is found by the kernel's groups.
    const std::string state = runtime_words(runroot, *program).back() + "/" + id;
    if (!ended && ::access(state.c_str(), F_OK) == 0 && ::access(program->c_str(), X_OK) == 0)
      return ended;
    (void)remove_tree_at(AT_FDCWD, state.c_str());
  }
  if (auto removed = remove_tree_at(AT_FDCWD, bundle.c_str()); !removed)
    return std::unexpected(Error(removed.error()).within("removing " + bundle));
  return {};
}

}  // namespace bulkhead::engine
