#include "launch/program.h"

#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::launch {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t kHomeRoom = 1024;

// The value of `name` in the environment; as for execvpe, the last assignment wins nothing: the
// first is what getenv(3) of the workload will see.
std::string_view value_of(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& entry : environment)
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name))
      return std::string_view(entry).substr(name.size() + 1);
  return {};
}

bool assigns(const std::vector<std::string>& environment, std::string_view name) {
  return std::any_of(environment.begin(), environment.end(), [&](const std::string& entry) {
    return entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name);
  });
}

// Feeds the lines of /etc/passwd to `visit` until it returns true. No allocation; lines over the
// buffer are skipped, as is anything that is not a regular file.
template <class Visitor>
void for_each_passwd_line(Visitor visit) noexcept {
  const auto file = open_at(AT_FDCWD, "/etc/passwd", O_RDONLY | O_NOCTTY | O_NONBLOCK);
  struct stat status{};
  if (!file || ::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  char buffer[4096];
  std::size_t held = 0;
  bool skipping = false;
  // A hostile file may be endless (a sparse giant): look at the first MiB only.
  for (std::size_t total = 0; total < (1U << 20);) {
    const ssize_t count = ::read(file->get(), buffer + held, sizeof buffer - held);
    if (count <= 0) break;
    total += static_cast<std::size_t>(count);
    held += static_cast<std::size_t>(count);
    std::size_t begin = 0;
    for (;;) {
      const void* end = std::memchr(buffer + begin, '\n', held - begin);
      if (end == nullptr) break;
      const std::size_t line_end = static_cast<std::size_t>(static_cast<const char*>(end) - buffer);
      if (!skipping && visit(std::string_view(buffer + begin, line_end - begin))) return;
      skipping = false;
      begin = line_end + 1;
    }
    if (begin == 0 && held == sizeof buffer) {
      skipping = true;
      held = 0;
    } else {
      std::memmove(buffer, buffer + begin, held - begin);
      held -= begin;
    }
  }
  if (held > 0 && !skipping) visit(std::string_view(buffer, held));
}

// The interpreter that an ELF file or a script names in its first bytes; empty for neither.
std::string_view interpreter_of(std::string_view head) {
  if (head.starts_with("#!")) {
    const std::string_view line = head.substr(2, head.substr(2).find('\n'));
    const std::string_view trimmed =
        line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
    return trimmed.substr(0, trimmed.find_first_of(" \t"));
  }
  Elf64_Ehdr header;
  if (head.size() < sizeof header) return {};
  std::memcpy(&header, head.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
    return {};
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    const std::uint64_t at = header.e_phoff + std::uint64_t{i} * sizeof segment;
    if (at > head.size() || head.size() - at < sizeof segment) return {};
    std::memcpy(&segment, head.data() + at, sizeof segment);
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_offset >= head.size()) return {};
    const std::string_view path = head.substr(segment.p_offset, segment.p_filesz);
    return path.substr(0, path.find('\0'));
  }
  return {};
}

}  // namespace

Result<Program> Program::prepare(const oci::Process& process) {
  if (process.args.empty() || process.args[0].empty())
    return fail(ErrorKind::kInvalid, "process.args: no program is named",
                "give at least one argument: the program to execute");
  Program program;
  program.name_ = process.args[0];
  program.environment_ = process.env;
  if (program.name_.find('/') != std::string::npos) {
    program.candidates_.push_back(program.name_);
  } else {
    std::string_view path = value_of(process.env, "PATH");
    if (path.empty()) path = kDefaultPath;
    for (std::string_view directory : split(path, ':')) {
      if (directory.empty()) directory = ".";
      program.candidates_.push_back(std::string(directory) + "/" + program.name_);
    }
  }
  for (const std::string& argument : process.args)
    program.argv_.push_back(const_cast<char*>(argument.c_str()));
  program.argv_.push_back(nullptr);
  for (std::string& entry : program.environment_) program.envp_.push_back(entry.data());
  if (!assigns(program.environment_, "HOME")) {
    program.home_.assign(kHomeRoom, '\0');
    program.home_.replace(0, 6, "HOME=/");
    program.envp_.push_back(program.home_.data());
  }
  program.envp_.push_back(nullptr);
  return program;
}

SysResult<const char*> Program::locate() const noexcept {
  int error = ENOENT;
  const char* refused = nullptr;
  for (const std::string& candidate : candidates_) {
    struct stat status{};
    if (::stat(candidate.c_str(), &status) != 0) {
      if (errno != ENOENT && errno != ENOTDIR) error = errno;
      continue;
    }
    if (S_ISREG(status.st_mode) && ::faccessat(AT_FDCWD, candidate.c_str(), X_OK, AT_EACCESS) == 0)
      return candidate.c_str();
    error = EACCES;
    refused = candidate.c_str();
  }
  return sys_fail_with(error, "exec", refused != nullptr ? refused : name_.c_str());
}

void Program::fill_home(ContainerUid uid) noexcept {
  if (home_.empty()) return;
  for_each_passwd_line([&](std::string_view line) {
    next_field(line, ':');  // name
    next_field(line, ':');  // password
    const auto number = parse_number<std::uint32_t>(next_field(line, ':'));
    if (!number || *number != uid.value()) return false;
    next_field(line, ':');  // gid
    next_field(line, ':');  // gecos
    const std::string_view home = next_field(line, ':');
    if (home.empty() || home.size() > kHomeRoom - 6) return true;
    std::memcpy(home_.data() + 5, home.data(), home.size());
    home_[5 + home.size()] = '\0';
    return true;
  });
}

Error explain_exec_failure(std::string_view program, int error, std::string_view head) {
  const std::string name = quoted(program);
  const std::string prefix = "exec " + name + ": ";
  const std::string_view interpreter = interpreter_of(head);
  if (error == ENOENT && !interpreter.empty()) {
    const std::string kind = head.starts_with("#!") ? "interpreter " : "loader ";
    if (interpreter.ends_with('\r'))
      return Error(ErrorKind::kCommandNotFound,
                   prefix + "the script names the interpreter " + quoted(interpreter) +
                       ": no such file or directory",
                   "the script has Windows line ends (CRLF): convert it with dos2unix or sed -i "
                   "'s/\\r$//'");
    return Error(ErrorKind::kCommandNotFound,
                 prefix + "its " + kind + quoted(interpreter) +
                     " is not in the container: no such file or directory",
                 head.starts_with("#!")
                     ? "install the interpreter in the image, or name another in the first line"
                     : "the program was built for another C library or architecture than the "
                       "image has: rebuild it statically, or use an image that fits");
  }
  if (error == ENOENT)
    return Error(ErrorKind::kCommandNotFound,
                 program.find('/') == std::string_view::npos
                     ? prefix + "executable file not found in $PATH"
                     : prefix + "no such file or directory",
                 "check the name, and that the image contains it");
  if (error == ENOEXEC) {
    if (head.empty())
      return Error(ErrorKind::kCommandNotExecutable,
                   prefix + "exec format error: the file is empty");
    if (head.starts_with("\177ELF"))
      return Error(ErrorKind::kCommandNotExecutable,
                   prefix + "exec format error: it was built for another architecture",
                   "use an image for this machine's architecture, or register an emulator with "
                   "binfmt_misc");
    return Error(ErrorKind::kCommandNotExecutable,
                 prefix + "exec format error: neither an ELF file nor a script with a #! line",
                 "put #!/bin/sh in the first line of a script");
  }
  if (error == EACCES)
    return Error(ErrorKind::kCommandNotExecutable, prefix + "permission denied",
                 "the file has no x bit for this user, is a directory, or lies on a noexec mount: "
                 "chmod +x, or check the user and the mount options");
  return Error(error == ENOTDIR || error == ELOOP ? ErrorKind::kCommandNotFound
                                                  : ErrorKind::kCommandNotExecutable,
               prefix + errno_text(error));
}

}  // namespace bulkhead::launch
