// A process that moves one blob, so that several move at once: it drives a fetcher of its own, and
// tries again where that is of use. Nothing of a blob passes through it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "storage/registry/client.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// What a process tells the one that has started it, in memory that both share.
struct SharedTransfer {
  std::atomic<std::uint64_t> done;
  std::atomic<std::uint32_t> retries;
  std::atomic<std::uint32_t> retry_wait_ms;
  std::atomic<std::uint32_t> outcome;  // what the work returned
};

class SharedTransfers {
 public:
  static Result<SharedTransfers> make(std::size_t count);
  SharedTransfers(SharedTransfers&& other) noexcept;
  SharedTransfers& operator=(SharedTransfers&&) = delete;
  ~SharedTransfers();
  SharedTransfer& operator[](std::size_t index) const { return first_[index]; }

 private:
  SharedTransfers() = default;
  SharedTransfer* first_ = nullptr;
  std::size_t size_ = 0;
};

class TransferProcess {
 public:
  // Runs `work` in a forked process that has `descriptors` open, and dies with this one. What `work`
  // returns stands in shared.outcome. The caller is single-threaded.
  static Result<TransferProcess> start(
      std::vector<int> descriptors, SharedTransfer& shared,
      const std::function<Result<std::uint32_t>(SharedTransfer&)>& work);
  TransferProcess(TransferProcess&& other) noexcept;
  TransferProcess& operator=(TransferProcess&&) = delete;
  ~TransferProcess();  // kills it

  int report() const { return report_.get(); }  // readable at its end
  // Waits so long for its end, then kills it: its failure, or nothing.
  std::optional<Error> end(int milliseconds);

 private:
  TransferProcess() = default;
  pid_t pid_ = -1;
  Fd report_;
};

// A client for the new process, which says in `shared` when it tries again.
RegistryClient client_for(const RegistryClient& parent, SharedTransfer& shared);

}  // namespace bulkhead::storage
