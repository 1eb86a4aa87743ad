#include "engine/adopting.h"

#include <dirent.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/text.h"
#include "engine/launching.h"
#include "engine/prepare.h"
#include "engine/times.h"
#include "isolation/cgroup/parent.h"
#include "runtime/record.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

// A container may have as many processes and descriptors as its limits allow: no more of them are
// looked at.
constexpr std::size_t kMostDescriptors = 100'000;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

bool is_pipe(const struct stat& status, dev_t pipes, std::uint64_t number) {
  return S_ISFIFO(status.st_mode) && status.st_dev == pipes && status.st_ino == number;
}

Result<dev_t> device_of_pipes() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  const Fd one(ends[0]);
  const Fd other(ends[1]);
  struct stat status{};
  if (::fstat(one.get(), &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  return status.st_dev;
}

// Finds pipes among the descriptors of a container's processes, which are hostile: what is opened is
// held first and looked at before it is opened for reading, so that it is that very pipe and nothing
// else, whatever they exchange meanwhile.
class PipeSearch {
 public:
  PipeSearch(std::vector<HostPid> processes, dev_t pipes)
      : processes_(std::move(processes)), pipes_(pipes) {}

  // Empty: no process has it open any more.
  Fd find(std::uint64_t number) {
    for (const HostPid pid : processes_) {
      const std::string path = "/proc/" + std::to_string(pid.value()) + "/fd";
      const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
      if (!directory) continue;
      const int place = ::dirfd(directory.get());
      while (const dirent* const entry = ::readdir(directory.get())) {
        if (++seen_ > kMostDescriptors) return {};
        struct stat status{};
        if (::fstatat(place, entry->d_name, &status, 0) != 0 || !is_pipe(status, pipes_, number))
          continue;
        if (Fd found = open_for_reading(place, entry->d_name, number)) return found;
      }
    }
    return {};
  }

 private:
  Fd open_for_reading(int place, const char* name, std::uint64_t number) const {
    const auto held = open_at(place, name, O_PATH);
    struct stat status{};
    if (!held || ::fstat(held->get(), &status) != 0 || !is_pipe(status, pipes_, number)) return {};
    const std::string path = "/proc/self/fd/" + std::to_string(held->get());
    auto opened = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK);
    return opened ? *std::move(opened) : Fd();
  }

  std::vector<HostPid> processes_;
  dev_t pipes_;
  std::size_t seen_ = 0;
};

// What is left of the container's time.
std::int64_t time_left(std::int64_t timeout, const std::string& started) {
  if (timeout < 0) return timeout;
  const auto begun = parse_rfc3339(started);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (!begun) return timeout;
  const std::int64_t up =
      (now.tv_sec - begun->tv_sec) * 1000 + (now.tv_nsec - begun->tv_nsec) / 1'000'000;
  return std::clamp<std::int64_t>(timeout - up, 0, timeout);
}

}  // namespace

Result<std::uint64_t> pipe_number(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
  return status.st_ino;
}

Result<supervise::Launched> take_over(const StoreOptions& options, const ContainerRecord& record,
                                      Fd directory) {
  TRY_ASSIGN(const LifeRecord life, read_life_record(directory.get()));
  TRY_ASSIGN(const auto running,
             runtime::ContainerDirectory::open(state_root_of(options), record.id));
  TRY_ASSIGN(const runtime::Record state, running.read_record());
  TRY_ASSIGN(const runtime::Observation seen, running.observe(state));
  supervise::Launched launched;
  launched.settings = settings_of(record);
  launched.settings.timeout_milliseconds = time_left(record.timeout_milliseconds, life.started);
  launched.restarts = life.restarts;
  launched.adopted = true;
  launched.directory = std::move(directory);
  // In this order: what is found in its processes is its own if it lives afterwards.
  TRY_ASSIGN(launched.init, runtime::ContainerDirectory::hold(seen.init));
  launched.oom = watch_memory(state.cgroup_directories);
  TRY_ASSIGN(const auto groups, isolation::CgroupSet::open(state.cgroup_directories));
  TRY_ASSIGN(std::vector<HostPid> processes, groups.processes());
  if (std::ranges::find(processes, launched.init.pid()) == processes.end())
    processes.push_back(launched.init.pid());
  TRY_ASSIGN(const dev_t pipes, device_of_pipes());
  PipeSearch search(std::move(processes), pipes);
  if (life.output_pipe) launched.output = search.find(*life.output_pipe);
  if (life.error_pipe) launched.error = search.find(*life.error_pipe);
  if (launched.init.has_exited()) return fail(ErrorKind::kState, "the container has just ended");
  return launched;
}

void have_adopted(const StoreOptions& options, const std::string& id) {
  // A program that begins anew, so that the monitor is as small as any.
  const std::array<std::string, 8> words{"bulkhead",      "--root", options.root, "--runroot",
                                         options.runroot, "system", "adopt",      id};
  std::array<char*, words.size() + 1> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = const_cast<char*>(words[i].c_str());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  pid_t child = -1;
  char locale[] = "LC_ALL=C.UTF-8";
  char* const environment[] = {locale, nullptr};
  const int error =
      ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return;
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
}

}  // namespace bulkhead::engine
