#include "storage/helper_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostSaid = 1 << 20;
constexpr std::size_t kMostShown = 600;
constexpr const char* kDirectories[] = {"/usr/sbin", "/usr/bin",        "/sbin",
                                        "/bin",      "/usr/local/sbin", "/usr/local/bin"};

[[noreturn]] void become(char** words, int said, pid_t parent) noexcept {
  char locale[] = "LC_ALL=C.UTF-8";
  char* const environment[] = {locale, nullptr};
  // It works for the caller alone: half of what it makes is worth nothing.
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0 || ::dup2(nothing, 0) < 0 || ::dup2(said, 1) < 0 || ::dup2(said, 2) < 0)
    ::_exit(127);
  // What the caller ignores or blocks for itself is not the program's way.
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execve(words[0], words, environment);
  ::_exit(127);
}

// What it has quoted itself is not quoted again.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7F; });
}

// Its last words, safe for a terminal: it may quote names that strangers gave.
std::string last_words(std::string_view said) {
  std::string_view text = trim(said);
  if (text.size() > kMostShown) text.remove_prefix(text.size() - kMostShown);
  std::string words;
  for (const std::string_view line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    words.append(words.empty() ? "" : " / ");
    words += is_plain(trim(line)) ? std::string(trim(line)) : quoted(trim(line), kMostShown);
  }
  return words;
}

}  // namespace

Result<void> run_helper_process(const std::vector<std::string>& words) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  const Fd out(ends[0]);
  Fd in(ends[1]);
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  arguments.reserve(copies.size() + 1);
  for (std::string& word : copies) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (child == 0) become(arguments.data(), in.get(), parent);
  in.reset();
  auto said = read_fd(out.get(), kMostSaid);
  if (!said) (void)::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  if (!said) return std::unexpected(std::move(said).error().within(words[0]));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFSIGNALED(status))
    return fail(ErrorKind::kSystem,
                words[0] + " was killed by signal " + std::to_string(WTERMSIG(status)));
  std::string_view text = trim(*said);
  std::string hint;
  if (const std::size_t at = text.rfind("hint: ");
      at != std::string_view::npos && (at == 0 || text[at - 1] == '\n')) {
    hint = last_words(text.substr(at + 6));
    text = text.substr(0, at);
  }
  std::string message = last_words(text);
  if (message.empty())
    message = words[0] + " failed with exit code " + std::to_string(WEXITSTATUS(status));
  return fail(ErrorKind::kSystem, std::move(message), std::move(hint));
}

Result<std::string> find_system_program(const std::string& name, const std::string& package) {
  for (const char* const directory : kDirectories) {
    std::string path = std::string(directory) + "/" + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return fail(ErrorKind::kUnsupported, name + " is not installed",
              "it comes with the package " + package);
}

}  // namespace bulkhead::storage
