// Times commands in turn: A B C A B C ..., so that what drifts on the machine meets them all alike.
//
//   stopwatch PLAN ROUNDS IDLE-MILLISECONDS       one after the other
//   stopwatch PLAN COUNT parallel                 COUNT of each at once
//
// PLAN holds one record on each line, its fields separated by tabs:
//   candidate NAME MOUNT-NAMESPACE|-   opens a candidate; it runs in that mount namespace
//   before ARGUMENT...                 a command that is not timed (of the last candidate)
//   step ARGUMENT...                   a timed command; the times of several are added up
//   after ARGUMENT...                  a command that is not timed
// `{n}` in an argument becomes a number that no other run has. Each run gives one line:
//   NAME ROUND WALL-NANOSECONDS CPU-NANOSECONDS PEAK-RSS-KIB STATUS
// CPU time is user and system time of every process below, orphans included (we are their
// subreaper). A tiny static program, because a child's peak RSS starts with its parent's.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

constexpr int kMostArguments = 64;
constexpr int kMostCommands = 16;
constexpr int kMostCandidates = 16;
constexpr int kMostParallel = 1024;
constexpr int kArgumentSize = 512;

struct Command {
  char* arguments[kMostArguments];
  int count = 0;
  char kind = 's';  // the first letter of before, step, after
};

struct Candidate {
  const char* name = "";
  int mount_namespace = -1;
  Command commands[kMostCommands];
  int count = 0;
};

struct Measure {
  std::int64_t wall = 0;
  std::int64_t cpu = 0;
  long peak = 0;
  int status = 0;
};

Candidate candidates[kMostCandidates];
int candidate_count = 0;
int null_file = -1;
int run_number = 0;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(125);
}

std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

std::int64_t cpu_of(const rusage& usage) {
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * std::int64_t{1'000'000'000} +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * std::int64_t{1'000};
}

// The arguments with `{n}` replaced, in static storage: one command is started at a time.
char** arguments_of(const Command& command, int number) {
  static char texts[kMostArguments][kArgumentSize];
  static char* pointers[kMostArguments + 1];
  for (int index = 0; index < command.count; ++index) {
    const char* argument = command.arguments[index];
    const char* mark = std::strstr(argument, "{n}");
    if (mark == nullptr) {
      pointers[index] = command.arguments[index];
    } else {
      std::snprintf(texts[index], kArgumentSize, "%.*s%d%s", static_cast<int>(mark - argument),
                    argument, number, mark + 3);
      pointers[index] = texts[index];
    }
  }
  pointers[command.count] = nullptr;
  return pointers;
}

pid_t start(const Candidate& candidate, const Command& command, int number) {
  char** arguments = arguments_of(command, number);
  const pid_t child = ::vfork();
  if (child < 0) die("vfork");
  if (child == 0) {
    if (candidate.mount_namespace >= 0 && ::setns(candidate.mount_namespace, CLONE_NEWNS) != 0)
      ::_exit(125);
    ::dup2(null_file, STDIN_FILENO);
    ::dup2(null_file, STDOUT_FILENO);
    ::execv(arguments[0], arguments);
    ::_exit(125);
  }
  return child;
}

// Reaps until `child` has ended, adding up what everything that died meanwhile has cost.
void finish(pid_t child, Measure& measure) {
  for (;;) {
    int status = 0;
    rusage usage{};
    const pid_t dead = ::wait4(-1, &status, 0, &usage);
    if (dead < 0) die("wait4");
    measure.cpu += cpu_of(usage);
    if (dead != child) continue;
    measure.peak = usage.ru_maxrss > measure.peak ? usage.ru_maxrss : measure.peak;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (measure.status == 0) measure.status = code;
    return;
  }
}

// Orphans that die after the last step belong to the run that left them.
void reap_orphans(Measure& measure) {
  int status = 0;
  rusage usage{};
  while (::wait4(-1, &status, WNOHANG, &usage) > 0) measure.cpu += cpu_of(usage);
}

void report(const Candidate& candidate, int round, const Measure& measure) {
  std::printf("%s\t%d\t%lld\t%lld\t%ld\t%d\n", candidate.name, round,
              static_cast<long long>(measure.wall), static_cast<long long>(measure.cpu),
              measure.peak, measure.status);
}

void run(const Candidate& candidate, int round, const timespec& idle) {
  const int number = ++run_number;
  Measure untimed;
  Measure measure;
  for (int index = 0; index < candidate.count; ++index)
    if (candidate.commands[index].kind == 'b')
      finish(start(candidate, candidate.commands[index], number), untimed);
  ::nanosleep(&idle, nullptr);
  for (int index = 0; index < candidate.count; ++index) {
    if (candidate.commands[index].kind != 's') continue;
    const std::int64_t began = now();
    finish(start(candidate, candidate.commands[index], number), measure);
    measure.wall += now() - began;
  }
  reap_orphans(measure);
  for (int index = 0; index < candidate.count; ++index)
    if (candidate.commands[index].kind == 'a')
      finish(start(candidate, candidate.commands[index], number), untimed);
  report(candidate, round, measure);
}

void run_parallel(const Candidate& candidate, int count) {
  static pid_t children[kMostParallel];
  static std::int64_t began[kMostParallel];
  int numbers[kMostParallel];
  const Command* step = nullptr;
  for (int index = 0; index < candidate.count; ++index)
    if (candidate.commands[index].kind == 's') step = &candidate.commands[index];
  if (step == nullptr || count > kMostParallel) return;
  const std::int64_t first = now();
  for (int index = 0; index < count; ++index) {
    began[index] = first;
    numbers[index] = ++run_number;
    children[index] = start(candidate, *step, numbers[index]);
  }
  for (int alive = count; alive > 0;) {
    int status = 0;
    rusage usage{};
    const pid_t dead = ::wait4(-1, &status, 0, &usage);
    if (dead < 0) die("wait4");
    for (int index = 0; index < count; ++index) {
      if (children[index] != dead) continue;
      --alive;
      report(candidate, index,
             {now() - began[index], cpu_of(usage), usage.ru_maxrss,
              WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)});
    }
  }
}

void read_plan(const char* path) {
  static char text[1 << 16];
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) die(path);
  const ssize_t size = ::read(file, text, sizeof text - 1);
  if (size < 0) die(path);
  ::close(file);
  char* rest = nullptr;
  for (char* line = ::strtok_r(text, "\n", &rest); line != nullptr;
       line = ::strtok_r(nullptr, "\n", &rest)) {
    char* fields = nullptr;
    const char* kind = ::strtok_r(line, "\t", &fields);
    if (std::strcmp(kind, "candidate") == 0) {
      if (candidate_count == kMostCandidates) std::exit(125);
      Candidate& candidate = candidates[candidate_count++];
      candidate.name = ::strtok_r(nullptr, "\t", &fields);
      const char* space = ::strtok_r(nullptr, "\t", &fields);
      if (std::strcmp(space, "-") != 0) {
        candidate.mount_namespace = ::open(space, O_RDONLY | O_CLOEXEC);
        if (candidate.mount_namespace < 0) die(space);
      }
      continue;
    }
    Candidate& candidate = candidates[candidate_count - 1];
    if (candidate.count == kMostCommands) std::exit(125);
    Command& command = candidate.commands[candidate.count++];
    command.kind = kind[0];
    for (char* field = ::strtok_r(nullptr, "\t", &fields); field != nullptr;
         field = ::strtok_r(nullptr, "\t", &fields)) {
      if (command.count == kMostArguments - 1) std::exit(125);
      command.arguments[command.count++] = field;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: stopwatch PLAN ROUNDS IDLE-MILLISECONDS|parallel\n", stderr);
    return 125;
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  null_file = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  read_plan(argv[1]);
  const int rounds = std::atoi(argv[2]);
  if (std::strcmp(argv[3], "parallel") == 0) {
    for (int index = 0; index < candidate_count; ++index) run_parallel(candidates[index], rounds);
    return 0;
  }
  const long milliseconds = std::atol(argv[3]);
  const timespec idle = {milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  for (int round = 0; round < rounds; ++round)
    for (int index = 0; index < candidate_count; ++index) run(candidates[index], round, idle);
  return 0;
}
