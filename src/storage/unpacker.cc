#include "storage/unpacker.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/text.h"
#include "storage/image_name.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostOutput = 64 << 20;
constexpr std::string_view kNote = "note: ";
constexpr std::string_view kHint = "\nhint: ";

// What the program writes is read when it has ended: a file, unlike a pipe, needs no reader meanwhile.
Result<Fd> make_buffer(const char* name) {
  Fd buffer(::memfd_create(name, MFD_CLOEXEC));
  if (!buffer) return std::unexpected(Error(SysError{"memfd_create", errno}));
  return buffer;
}

Result<std::string> read_buffer(const Fd& buffer) {
  if (::lseek(buffer.get(), 0, SEEK_SET) != 0)
    return std::unexpected(Error(SysError{"lseek", errno}));
  return read_fd(buffer.get(), kMostOutput);
}

Result<int> spawn_and_wait(const std::string& program, const UnpackerCall& call, int output,
                           int errors) {
  std::vector<std::string> words = call.words;
  words.insert(words.begin(), "bulkhead-unpack");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // Nothing of the caller's environment steers a program that reads hostile files.
  char locale[] = "LC_ALL=C.UTF-8";
  char* const environment[] = {locale, nullptr};

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  // Upwards of 3 nothing else is in the way: ours are closed on execution, and dup2 of a descriptor
  // to itself keeps it open.
  if (call.progress >= 0) ::posix_spawn_file_actions_adddup2(&actions, call.progress, 3);
  if (call.directory >= 0) ::posix_spawn_file_actions_adddup2(&actions, call.directory, 4);
  if (call.input >= 0)
    ::posix_spawn_file_actions_adddup2(&actions, call.input, 0);
  else
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, 1);
  ::posix_spawn_file_actions_adddup2(&actions, errors, 2);
  pid_t child = -1;
  const int error =
      ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::unexpected(Error(SysError{"posix_spawn", error, program.c_str()}));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  return status;
}

ErrorKind kind_of_exit(int code) {
  switch (code) {
    case 2: return ErrorKind::kNotFound;
    case 3: return ErrorKind::kSystem;
    case 4: return ErrorKind::kState;
    case 5: return ErrorKind::kUnsupported;
    default: return ErrorKind::kInvalid;
  }
}

}  // namespace

Result<UnpackerAnswer> run_unpacker(const UnpackerCall& call) {
  std::string program = call.program;
  if (program.empty()) {
    TRY_ASSIGN(program, find_helper("bulkhead-unpack"));
  }
  TRY_ASSIGN(Fd errors, make_buffer("errors"));
  Fd output;
  if (call.output < 0) {
    TRY_ASSIGN(output, make_buffer("output"));
  }
  // Descriptors 3 and 4 are the progress's and the directory's: what has these numbers already moves out
  // of their way.
  std::vector<Fd> moved;
  for (Fd* buffer : {&errors, &output})
    if (buffer->get() == 3 || buffer->get() == 4) {
      moved.push_back(std::move(*buffer));
      *buffer = Fd(::fcntl(moved.back().get(), F_DUPFD_CLOEXEC, 10));
      if (!*buffer) return std::unexpected(Error(SysError{"fcntl", errno}));
    }
  TRY_ASSIGN(const int status,
             spawn_and_wait(program, call, output ? output.get() : call.output, errors.get()));
  TRY_ASSIGN(const std::string said, read_buffer(errors));
  if (WIFSIGNALED(status))
    return fail(ErrorKind::kSystem, call.context + ": the unpacker was killed by signal " +
                                        std::to_string(WTERMSIG(status)));
  UnpackerAnswer answer;
  std::string message;
  for (const std::string_view line : split(said, '\n'))
    if (line.starts_with(kNote))
      answer.notes.emplace_back(line.substr(kNote.size()));
    else
      message.append(line).append("\n");
  if (WEXITSTATUS(status) != 0) {
    std::string_view text = trim(message);
    std::string_view hint;
    if (const std::size_t at = text.find(kHint); at != std::string_view::npos) {
      hint = text.substr(at + kHint.size());
      text = text.substr(0, at);
    }
    return fail(kind_of_exit(WEXITSTATUS(status)), call.context + ": " + std::string(text),
                std::string(hint));
  }
  if (output) {
    TRY_ASSIGN(answer.output, read_buffer(output));
  }
  return answer;
}

}  // namespace bulkhead::storage
