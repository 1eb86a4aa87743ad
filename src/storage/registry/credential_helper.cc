// docker-credential-NAME: a program of the user's own, found on the PATH, that keeps passwords.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "storage/registry/credentials.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostAnswer = 64 * 1024;

// It becomes part of a program's name: no path may come of it.
bool is_helper_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

struct PipeEnds {
  Fd out;
  Fd in;
};

Result<PipeEnds> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  return PipeEnds{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

Result<std::string> run_credential_helper(const std::string& name, const std::string& verb,
                                          const std::string& input) {
  if (!is_helper_name(name))
    return fail(ErrorKind::kInvalid, quoted(name) + " is not the name of a credential helper");
  const std::string program = "docker-credential-" + name;
  TRY_ASSIGN(PipeEnds question, make_pipe());
  TRY_ASSIGN(PipeEnds answer, make_pipe());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, question.out.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, answer.in.get(), 1);
  std::string words[] = {program, verb};
  char* const argv[] = {words[0].data(), words[1].data(), nullptr};
  pid_t child = -1;
  const int error = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, argv, ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return std::unexpected(
        Error(SysError{"posix_spawn", error, program.c_str()})
            .within("the credential helper")
            .with_hint("install it, or take it out of config.json (credsStore, credHelpers)"));
  question.out.reset();
  answer.in.reset();
  // A helper that reads nothing is no reason to end; SIGPIPE is ignored.
  (void)write_all(question.in.get(), input.data(), input.size());
  question.in.reset();
  auto said = read_fd(answer.out.get(), kMostAnswer);
  if (!said) (void)::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  if (!said) return std::unexpected(std::move(said).error().within(program));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
  return fail(ErrorKind::kState, program + " " + verb + " failed: " + quoted(trim(*said)));
}

}  // namespace bulkhead::storage
