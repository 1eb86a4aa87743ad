#include "storage/unpack/unpack_layers.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <thread>

#include "storage/unpack/examine_tree.h"
#include "storage/unpack/worker.h"
#include "storage/unpack/worker_report.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr int kShowEveryMs = 100;

// Workers of an overseer that was killed become ours, so that their end can be awaited: they write to
// directories that are about to be removed.
class AdoptOrphans {
 public:
  static Result<AdoptOrphans> begin() {
    AdoptOrphans adopt;
    if (::prctl(PR_GET_CHILD_SUBREAPER, &adopt.before_) != 0 ||
        ::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
      return std::unexpected(Error(SysError{"prctl(PR_SET_CHILD_SUBREAPER)", errno}));
    adopt.begun_ = true;
    return adopt;
  }
  AdoptOrphans(AdoptOrphans&& other) noexcept
      : before_(other.before_), begun_(std::exchange(other.begun_, false)) {}
  AdoptOrphans(const AdoptOrphans&) = delete;
  AdoptOrphans& operator=(const AdoptOrphans&) = delete;
  AdoptOrphans& operator=(AdoptOrphans&&) = delete;
  ~AdoptOrphans() {
    if (begun_) (void)::prctl(PR_SET_CHILD_SUBREAPER, before_);
  }

 private:
  AdoptOrphans() = default;
  int before_ = 0;
  bool begun_ = false;
};

// Counters that the overseers write and the caller reads.
class SharedCounters {
 public:
  static Result<SharedCounters> make(std::size_t count) {
    SharedCounters counters;
    counters.size_ = std::max<std::size_t>(1, count * sizeof(std::atomic<std::uint64_t>));
    void* const memory =
        ::mmap(nullptr, counters.size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return std::unexpected(Error(SysError{"mmap", errno}));
    // Zero bytes are counters of zero.
    counters.first_ = static_cast<std::atomic<std::uint64_t>*>(memory);
    return counters;
  }
  SharedCounters(SharedCounters&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)), size_(other.size_) {}
  SharedCounters(const SharedCounters&) = delete;
  SharedCounters& operator=(const SharedCounters&) = delete;
  SharedCounters& operator=(SharedCounters&&) = delete;
  ~SharedCounters() {
    if (first_ != nullptr) (void)::munmap(first_, size_);
  }
  std::atomic<std::uint64_t>& operator[](std::size_t index) const { return first_[index]; }

 private:
  SharedCounters() = default;
  std::atomic<std::uint64_t>* first_ = nullptr;
  std::size_t size_ = 0;
};

struct Overseer {
  std::size_t job = 0;
  pid_t pid = -1;
  Fd said;
};

// A download's other end in the wrong process would keep its pipe from ever ending.
bool close_all_but(const std::set<unsigned>& kept) {
  unsigned first = 0;
  for (const unsigned number : kept) {
    if (number > first && ::close_range(first, number - 1, 0) != 0) return false;
    first = number + 1;
  }
  return ::close_range(first, ~0U, 0) == 0;
}

class Crew {
 public:
  Crew(std::span<LayerJob> jobs, Confinement& confinement, const ExtractLimits& limits,
       const SharedCounters& counters)
      : jobs_(jobs), confinement_(confinement), limits_(limits), counters_(counters) {}
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  // Whatever still runs has lost its purpose.
  ~Crew() {
    for (const Overseer& overseer : running_) (void)::kill(-overseer.pid, SIGKILL);
    for (const Overseer& overseer : running_) leave(overseer);
  }

  std::size_t size() const { return running_.size(); }
  Result<void> start(std::size_t index);
  // Waits until one has ended or `timeout` milliseconds have passed, and takes up its report.
  Result<void> wait(int timeout, std::vector<ExtractReport>& reports);

 private:
  [[noreturn]] void oversee(const LayerJob& job, int report) const;
  Result<ExtractReport> unpack(const LayerToUnpack& layer) const;
  int leave(const Overseer& overseer) const;

  std::span<LayerJob> jobs_;
  Confinement& confinement_;
  const ExtractLimits& limits_;
  const SharedCounters& counters_;
  std::vector<Overseer> running_;
};

void Crew::oversee(const LayerJob& job, int report) const {
  std::set<unsigned> kept = {2};
  for (const int fd : {report, job.layer.source.fd, job.layer.source.keep, job.layer.directory})
    if (fd >= 0) kept.insert(static_cast<unsigned>(fd));
  if (!close_all_but(kept)) ::_exit(1);
  const auto done = unpack(job.layer);
  const std::string text = done ? encode_report(*done) : encode_failure(done.error());
  ::_exit(write_all(report, text.data(), text.size()) ? 0 : 1);
}

Result<ExtractReport> Crew::unpack(const LayerToUnpack& layer) const {
  TRY_ASSIGN(ExtractReport report, unpack_layer(layer, confinement_, limits_));
  std::vector<std::string> implied = std::move(report.tree.implied);
  TRY_ASSIGN(report.tree, examine_tree(layer.directory));
  report.tree.implied = std::move(implied);
  return report;
}

Result<void> Crew::start(std::size_t index) {
  LayerJob& job = jobs_[index];
  if (job.begin) {
    auto begun = job.begin(job.layer);
    if (!begun) return std::unexpected(std::move(begun).error().within(job.name));
  }
  job.layer.progress = &counters_[index];
  TRY_ASSIGN(Pipe pipe, Pipe::make());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(Error(SysError{"fork", errno}));
  if (pid == 0) {
    // A group of its own, so that it can be ended together with its workers.
    if (::setpgid(0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent)
      ::_exit(1);
    oversee(job, pipe.in.get());
  }
  (void)::setpgid(pid, pid);  // whoever is first; the child checks
  running_.push_back({index, pid, std::move(pipe.out)});
  return {};
}

// The status of the overseer, once no process of its group is left.
int Crew::leave(const Overseer& overseer) const {
  int status = 0;
  int own = -1;
  for (;;) {
    const pid_t pid = ::waitpid(-overseer.pid, &status, 0);
    if (pid == overseer.pid) own = status;
    if (pid < 0 && errno != EINTR) break;  // ECHILD: nobody is left
  }
  if (const auto& done = jobs_[overseer.job].done) done();
  return own;
}

Result<void> Crew::wait(int timeout, std::vector<ExtractReport>& reports) {
  std::vector<pollfd> awaited;
  awaited.reserve(running_.size());
  for (const Overseer& overseer : running_) awaited.push_back({overseer.said.get(), POLLIN, 0});
  if (::poll(awaited.data(), awaited.size(), timeout) < 0) {
    if (errno == EINTR) return {};
    return std::unexpected(Error(SysError{"poll", errno}));
  }
  for (std::size_t i = 0; i < awaited.size(); ++i) {
    if (awaited[i].revents == 0) continue;
    // It writes all that it has to say at its end.
    const auto text = read_fd(running_[i].said.get(), kMostReport);
    if (!text) return std::unexpected(text.error());
    const Overseer overseer = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    const int status = leave(overseer);
    const std::string& name = jobs_[overseer.job].name;
    if (status != 0)
      return fail(ErrorKind::kSystem,
                  name + ": the process that unpacks it ended" +
                      (WIFSIGNALED(status) ? " by signal " + std::to_string(WTERMSIG(status)) : ""),
                  "memory may be short");
    auto report = decode_report(*text);
    if (!report) return std::unexpected(std::move(report).error().within(name));
    reports[overseer.job] = *std::move(report);
    return {};  // the others' places in `awaited` have moved
  }
  return {};
}

unsigned layers_at_once(const UnpackBounds& bounds) {
  if (bounds.layers_at_once != 0) return bounds.layers_at_once;
  return std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
}

}  // namespace

Result<std::vector<ExtractReport>> unpack_layers(std::span<LayerJob> jobs, Confinement& confinement,
                                                 const ExtractLimits& limits,
                                                 const UnpackBounds& bounds,
                                                 const ShowProgress& show) {
  std::vector<ExtractReport> reports(jobs.size());
  TRY_ASSIGN(const SharedCounters counters, SharedCounters::make(jobs.size()));
  TRY_ASSIGN(const AdoptOrphans adopt, AdoptOrphans::begin());
  Crew crew(jobs, confinement, limits, counters);
  const auto tell = [&] {
    if (!show) return;
    std::vector<std::uint64_t> bytes;
    bytes.reserve(jobs.size());
    for (std::size_t i = 0; i < jobs.size(); ++i)
      bytes.push_back(counters[i].load(std::memory_order_relaxed));
    show(bytes);
  };
  for (std::size_t next = 0; next < jobs.size() || crew.size() != 0;) {
    if (next < jobs.size() && crew.size() < layers_at_once(bounds)) {
      TRY(crew.start(next++));
      continue;
    }
    TRY(crew.wait(show ? kShowEveryMs : -1, reports));
    tell();
  }
  return reports;
}

}  // namespace bulkhead::storage
