// The program that the launch ends in: argv, environment and where to look for the file, laid out
// before clone so that the child has nothing left to build.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"
#include "sys/error.h"

namespace bulkhead::launch {

class Program {
 public:
  // Points into `process`, which must outlive the program. kInvalid when no program is named.
  static Result<Program> prepare(const oci::Process& process);

  char* const* argv() const noexcept { return argv_.data(); }
  char* const* envp() const noexcept { return envp_.data(); }

  // In the child, inside the container's root: the path of the file to execute. A name without a
  // slash is looked up in the PATH of the container's own environment. ENOENT when there is none,
  // EACCES when there are only files that this process may not execute.
  SysResult<const char*> locate() const noexcept;

  // In the child: fills HOME from the container's /etc/passwd when the environment has none ("/"
  // when the user has no entry). The file is read by plain read(2): no name service of the
  // container's ever runs.
  void fill_home(ContainerUid uid) noexcept;

 private:
  std::vector<std::string> candidates_;
  std::vector<char*> argv_;
  std::vector<char*> envp_;
  std::vector<std::string> environment_;
  std::string home_;  // "HOME=" and room for a path; empty when HOME is given
  std::string name_;
};

// Why execve refused the file whose first bytes are `head`, as a sentence ("the interpreter
// \"/bin/bash\r\" of the script does not exist: it has Windows line ends (CRLF)"), or the plain
// errno when there is nothing better to say. `program` is what was asked for.
Error explain_exec_failure(std::string_view program, int error, std::string_view head);

}  // namespace bulkhead::launch
