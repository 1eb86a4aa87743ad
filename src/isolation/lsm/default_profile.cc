#include "isolation/lsm/default_profile.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr std::size_t kMostListed = 4 << 20;  // hosts have hundreds of profiles

// Runs the parser with an empty environment; what it says on standard error is the reason.
Result<void> run_parser(const AppArmorPaths& paths) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  std::string program = paths.parser;
  std::string replace = "--replace";
  std::string no_cache = "--skip-cache";
  std::string file = paths.profile;
  char* const argv[] = {program.data(), replace.data(), no_cache.data(), file.data(), nullptr};
  char* const envp[] = {nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, paths.parser.c_str(), &actions, nullptr, argv, envp);
  ::posix_spawn_file_actions_destroy(&actions);
  write_end.reset();
  if (error != 0) return std::unexpected(Error(SysError{"execve", error, paths.parser.c_str()}));
  const auto said = read_fd(read_end.get(), 1 << 16);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(ErrorKind::kSystem,
              quoted(paths.parser) + " failed: " + quoted(trim(said.value_or(""))));
}

}  // namespace

Result<std::string> profile_mode(std::string_view name, const AppArmorPaths& paths) {
  TRY_ASSIGN(const std::string list,
             read_file_at(AT_FDCWD, paths.loaded_profiles.c_str(), kMostListed));
  std::string_view rest = list;
  while (!rest.empty()) {
    std::string_view line = next_field(rest, '\n');  // "name (mode)"
    if (!line.starts_with(name) || !line.ends_with(')')) continue;
    line.remove_prefix(name.size());
    // A longer name may begin with this one, and hold a parenthesis, too.
    if (line.starts_with(" (") && line.find('(', 2) == std::string_view::npos)
      return std::string(line.substr(2, line.size() - 3));
  }
  return std::string();
}

std::string mode_of_wanted_profile(const oci::Spec& spec, const HostFacts& host,
                                   const AppArmorPaths& paths) {
  if (!host.apparmor || !spec.process) return {};
  const std::string name = spec.process->apparmor_profile.value_or("");
  if (name.empty() || name == "unconfined") return {};
  return profile_mode(name, paths).value_or("");
}

Result<void> load_default_profile(const AppArmorPaths& paths) {
  constexpr std::string_view kContext = "loading the AppArmor profile bulkhead-default";
  const auto mode = profile_mode(kDefaultAppArmorProfileName, paths);
  if (mode && !mode->empty()) return {};
  // An unreadable list (no securityfs, no privilege) does not say that it is not loaded: try.
  TRY_WITHIN(kContext, run_parser(paths));
  return {};
}

}  // namespace bulkhead::isolation
