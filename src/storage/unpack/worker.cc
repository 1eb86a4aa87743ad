#include "storage/unpack/worker.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>

#include "storage/unpack/worker_report.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

// Leaves exactly the descriptors of worker.h open.
bool arrange(const WorkerDescriptors& wanted) {
  const int output = wanted.output < 0 ? wanted.report : wanted.output;
  int sources[] = {wanted.input, output, wanted.report, wanted.directory, wanted.acts};
  // First out of the way of the numbers that they are to get.
  for (int& source : sources)
    if (source >= 0 && (source = ::fcntl(source, F_DUPFD_CLOEXEC, 16)) < 0) return false;
  for (int number = 0; number < 5; ++number)
    if (sources[number] >= 0 && ::dup2(sources[number], number) < 0) return false;
  const unsigned first_unused = wanted.directory >= 0 ? 5 : 3;
  return ::close_range(first_unused, ~0U, 0) == 0;
}

}  // namespace

Result<Pipe> Pipe::make() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  // Fewer turns between the processes; a smaller pipe is no less correct.
  (void)::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  return pipe;
}

Result<Worker> start_worker(std::string_view name, const WorkerDescriptors& descriptors,
                            const std::function<Result<std::string>()>& work) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (pid != 0) return Worker{pid, name};
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent || !arrange(descriptors))
    ::_exit(1);
  const auto said = work();
  const std::string text = said ? *said : encode_failure(said.error());
  const bool told = write_all(kReport, text.data(), text.size()).has_value();
  ::_exit(said && told ? 0 : 1);
}

Result<void> finish(const Worker& worker, Ending ending) {
  if (ending == Ending::kForced) (void)::kill(worker.pid, SIGKILL);
  int status = 0;
  while (::waitpid(worker.pid, &status, 0) < 0)
    if (errno != EINTR) return std::unexpected(Error(SysError{"waitpid", errno}));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFSIGNALED(status))
    return fail(ErrorKind::kInvalid,
                "the " + std::string(worker.name) + " was killed by signal " +
                    std::to_string(WTERMSIG(status)) +
                    (WTERMSIG(status) == SIGSYS ? ": it tried what it has no business with" : ""),
                "the layer is damaged or hostile, or memory is short");
  return fail(ErrorKind::kInvalid, "the " + std::string(worker.name) + " failed");
}

}  // namespace bulkhead::storage
