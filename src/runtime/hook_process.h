// One hook's process, from start to end. Nothing here allocates or formats, so that the child half
// of a launch may use it as well as the runtime.
#pragma once

#include <span>

#include "sys/error.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

struct HookCommand {
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  int timeout_milliseconds = -1;  // -1: none
  int state = -1;                 // becomes standard input, from its beginning
  int watched = -1;               // a pidfd with whose end the hook's ends, too; -1: none
};

struct HookEnd {
  ExitStatus status;
  bool timed_out = false;       // and was killed, with its process group
  bool abandoned = false;       // the same, because what was watched had ended
  std::size_t output_size = 0;  // of `output`
};

// Runs the command to its end in a process group of its own. What it last wrote to its standard
// output and error stands in `output` afterwards. A failure to execute is the error of "execve".
SysResult<HookEnd> run_hook_process(const HookCommand& command, std::span<char> output) noexcept;

}  // namespace bulkhead::runtime
