// A short-lived process that stands in one file system and reads or writes files there: in a container's,
// for `cp`, or in a directory of this host that a container's files go to. It executes nothing, loads
// nothing and looks nobody's name up; it has no descriptor but a socket to be asked by and a pipe for the
// files, no capability but those that files' owners and modes need, and no system call beyond files.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "engine/copy_protocol.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// Bytes that have passed: a page that both processes see.
class SharedCounter {
 public:
  static Result<SharedCounter> make();
  SharedCounter(SharedCounter&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  SharedCounter& operator=(SharedCounter&&) = delete;
  ~SharedCounter();
  std::atomic<std::uint64_t>* get() const { return value_; }

 private:
  explicit SharedCounter(std::atomic<std::uint64_t>* value) : value_(value) {}
  std::atomic<std::uint64_t>* value_;
};

class CopyWorker {
 public:
  // In the new process, with everything of the old one still there: makes the file system the root
  // directory.
  using Enter = std::function<Result<void>()>;
  // `data`: its end of the pipe. The caller is single-threaded. It dies with the caller.
  static Result<CopyWorker> start(const Enter& enter, Fd data, const SharedCounter& counter);
  CopyWorker(CopyWorker&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), socket_(std::move(other.socket_)) {}
  CopyWorker& operator=(CopyWorker&&) = delete;
  ~CopyWorker();

  Result<CopyAnswer> ask(const CopyRequest& request);
  // The two halves of ask(), for what takes its time.
  Result<void> begin(const CopyRequest& request);
  Result<CopyAnswer> finish();
  int socket() const { return socket_.get(); }  // readable when there is an answer, or its end

 private:
  CopyWorker(pid_t pid, Fd socket) : pid_(pid), socket_(std::move(socket)) {}
  pid_t pid_;
  Fd socket_;
};

}  // namespace bulkhead::engine
