// CRIU at work for one checkpoint or restore: the program `criu` of the PATH, executed as a service
// for this process alone ("criu swrk") and spoken to over a socket.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "runtime/criu_message.h"
#include "sys/fd.h"
#include "sys/pidfd.h"

namespace bulkhead::runtime {

// What CRIU's process is given on its way, and what it restores inherits.
struct CriuSurroundings {
  // CRIU does not know this property of processes: all that it makes get it from CRIU itself.
  bool no_new_privileges = false;
  // The restored processes have the session keyring of CRIU: an empty one.
  bool new_session_keyring = false;
  // To restore: made a mount point in a mount namespace of CRIU's own, because CRIU restores into
  // nothing else. The directories of the images and of the log have to be opened in there, too.
  std::string root, images, work;
  // Descriptors of this process that CRIU inherits under the same numbers.
  std::vector<int> descriptors;
};

// Who is told of the stages of a dump or restore.
class CriuStages {
 public:
  virtual ~CriuStages() = default;
  // `pid`: of the first process, 0 where there is none yet. A failure makes CRIU give up, where it
  // still can, and is what ask() returns.
  virtual Result<void> reached(std::string_view stage, HostPid pid, Fd descriptor) = 0;
};

// The criu of the PATH, of which nothing is known but that it is there. kUnsupported without one.
Result<std::string> find_criu();

class CriuWorker {
 public:
  // kUnsupported, with what to do, when there is no criu, when it is too old, or when it does not
  // even start on this kernel (then with what `criu check` says).
  static Result<CriuWorker> start(const CriuSurroundings& surroundings);
  // Ends CRIU's process, which undoes what it has not finished.
  ~CriuWorker();
  CriuWorker(CriuWorker&&) noexcept = default;
  CriuWorker& operator=(CriuWorker&&) = delete;

  HostPid pid() const noexcept { return process_.pid(); }
  // As opened in CRIU's mount namespace; -1 where it has none of its own.
  int images() const noexcept { return images_.get(); }
  int work() const noexcept { return work_.get(); }

  Result<bool> tracks_memory() const;
  // The answer, which may tell of a failure; kState when CRIU ends without any.
  Result<CriuAnswer> ask(CriuCall call, const CriuOptions& options, CriuStages& stages) const;

 private:
  CriuWorker() = default;
  Result<CriuAnswer> exchange(const std::string& request, CriuStages* stages) const;
  Result<void> send(const std::string& message) const;

  static Result<CriuWorker> execute(const std::string& program,
                                    const CriuSurroundings& surroundings);

  Fd socket_;
  PidFd process_;
  Fd images_, work_;
};

}  // namespace bulkhead::runtime
