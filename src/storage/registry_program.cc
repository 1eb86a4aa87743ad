#include "storage/registry_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "storage/image_name.h"
#include "storage/reference.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<void> become_registry_program(std::vector<std::string> words) {
  TRY_ASSIGN(const std::string program, find_helper(kRegistryProgram));
  words.insert(words.begin(), kRegistryProgram);
  const std::vector<char*> pointers = pointers_to(words);
  // With the caller's environment: HOME, proxies, and what credential helpers of the user's need.
  ::execve(program.c_str(), pointers.data(), ::environ);
  return std::unexpected(Error(SysError{"execve", errno, program.c_str()}));
}

Result<std::string> pull_for_run(const std::string& store, const std::string& journal,
                                 const std::string& name, PullWhen when) {
  TRY_ASSIGN(const std::string program, find_helper(kRegistryProgram));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  const Fd answer(ends[0]);
  Fd in(ends[1]);
  std::vector<std::string> words{kRegistryProgram,
                                 "pull",
                                 "--store=" + store,
                                 "--journal=" + journal,
                                 when == PullWhen::kMissing ? "--missing" : "--for-run",
                                 name};
  const std::vector<char*> pointers = pointers_to(words);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.get(), STDOUT_FILENO);
  pid_t child = -1;
  const int error =
      ::posix_spawn(&child, program.c_str(), &actions, nullptr, pointers.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::unexpected(Error(SysError{"posix_spawn", error, program.c_str()}));
  in.reset();
  const auto said = read_fd(answer.get(), 64 * 1024);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  // Why is on the standard error already.
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(ErrorKind::kNotFound, "image " + quoted(name) + " could not be pulled");
  if (!said) return std::unexpected(said.error());
  TRY_ASSIGN(const Reference reference, parse_reference(trim(*said)));
  return reference.canonical();
}

}  // namespace bulkhead::storage
