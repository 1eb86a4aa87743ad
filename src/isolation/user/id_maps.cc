#include "isolation/user/id_maps.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "isolation/user/subordinate.h"
#include "sys/fd.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

// The two kinds of id, in the words of the files and tools that deal with them.
struct Kind {
  const char* map_file;
  const char* helper;
  const char* subordinate_file;
};
constexpr Kind kUsers{"uid_map", "newuidmap", "/etc/subuid"};
constexpr Kind kGroups{"gid_map", "newgidmap", "/etc/subgid"};

Error explain_refusal(const SysError& error, std::span<const oci::IdMapping> map) {
  Error text = Error(error).within("writing the id map of the user namespace");
  if (error.error == EPERM)
    return std::move(text).with_hint(
        mapped_to_container(map, 0)
            ? "a range that holds the host's id 0 needs CAP_SETFCAP (Linux 5.12); and every id "
              "must itself be mapped in the runtime's user namespace"
            : "every id on the host side must itself be mapped in the runtime's user namespace");
  if (error.error == EINVAL && map.size() > 5)
    return std::move(text).with_hint("kernels before 4.15 take at most 5 ranges");
  return text;
}

Result<void> write_directly(int process, const Kind& kind, std::span<const oci::IdMapping> map) {
  const std::string text = map_text(map);
  if (const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); text.size() >= page)
    return fail(ErrorKind::kInvalid,
                "the " + std::to_string(map.size()) + " id ranges take " +
                    std::to_string(text.size()) + " bytes, and the kernel takes less than " +
                    std::to_string(page),
                "join neighbouring ranges");
  const auto written = write_file_at(process, kind.map_file, text);
  if (!written) return std::unexpected(explain_refusal(written.error(), map));
  return {};
}

// The first of the usual places that has the helper; never the caller's PATH.
Result<std::string> find_helper(const Kind& kind) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/bin/"}) {
    std::string path = std::string(folder) + kind.helper;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return fail(ErrorKind::kUnsupported,
              std::string(kind.helper) +
                  " is not installed, and an unprivileged user may map only "
                  "its own id without it",
              "install the package uidmap (shadow), or map your own id alone");
}

// A helper says "not allowed" and little more: look for the reason where it looked.
std::string hint_for(const Kind& kind, std::span<const oci::IdMapping> map) {
  const auto all = read_subordinate_ranges(kind.subordinate_file);
  if (!all) return {};
  const std::string name = user_name_of(::geteuid());
  const std::string number = std::to_string(::geteuid());
  const std::uint32_t own = kind.map_file == kUsers.map_file ? ::geteuid() : ::getegid();
  std::vector<IdRange> mine;
  for (const SubordinateRange& entry : *all)
    if (entry.owner == number || (!name.empty() && entry.owner == name))
      mine.push_back(entry.range);
  for (const oci::IdMapping& extent : map) {
    const IdRange range{extent.host_id, extent.size};
    bool allowed = range == IdRange{own, 1};
    for (const IdRange& given : mine) allowed = allowed || given.contains(range);
    if (!allowed)
      return std::string(kind.subordinate_file) + " gives " + (name.empty() ? number : name) +
             " no range that holds " + std::to_string(range.first) + " to " +
             std::to_string(range.end() - 1);
  }
  return {};
}

// Runs the program with an empty environment, standard error in `output`; its exit code.
Result<int> run_helper(std::vector<std::string> arguments, std::string& output) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe", errno}));
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::array<char*, 1> environment{};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t process = 0;
  const int error =
      ::posix_spawn(&process, argv[0], &actions, nullptr, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::unexpected(Error(SysError{"posix_spawn", error, argv[0]}));
  write_end.reset();
  constexpr std::size_t kMostOutput = 64 << 10;
  if (auto text = read_fd(read_end.get(), kMostOutput)) output = *std::move(text);
  int status = 0;
  while (::waitpid(process, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno, argv[0]}));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<void> write_by_helper(HostPid child, const Kind& kind, std::span<const oci::IdMapping> map) {
  TRY_ASSIGN(const std::string path, find_helper(kind));
  std::vector<std::string> arguments{path, std::to_string(child.value())};
  for (const oci::IdMapping& extent : map) {
    arguments.push_back(std::to_string(extent.container_id));
    arguments.push_back(std::to_string(extent.host_id));
    arguments.push_back(std::to_string(extent.size));
  }
  std::string output;
  TRY_ASSIGN(const int code, run_helper(std::move(arguments), output));
  if (code == 0) return {};
  return fail(
      ErrorKind::kPermission,
      path + " refused with exit code " + std::to_string(code) + ": " + quoted(trim(output)),
      hint_for(kind, map));
}

Result<void> write_map(int process, HostPid child, const Kind& kind, MapWriter writer,
                       std::span<const oci::IdMapping> map) {
  if (writer == MapWriter::kHelper) return write_by_helper(child, kind, map);
  return write_directly(process, kind, map);
}

}  // namespace

Result<void> write_id_maps(const UserNamespace::Plan& plan, HostPid child) {
  if (!plan.is_new()) return {};
  const std::string path = "/proc/" + std::to_string(child.value());
  TRY_ASSIGN(const Fd process, open_at(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY));
  if (plan.gid_writer == MapWriter::kOwnId) TRY(write_file_at(process.get(), "setgroups", "deny"));
  TRY(write_map(process.get(), child, kUsers, plan.uid_writer, plan.uid_map));
  return write_map(process.get(), child, kGroups, plan.gid_writer, plan.gid_map);
}

}  // namespace bulkhead::isolation
