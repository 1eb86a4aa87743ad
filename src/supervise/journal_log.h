// The log driver journald: each line is an entry of systemd's journal, sent to its socket in the
// journal's native protocol; one that is too large for a packet goes as a sealed memory file.
#pragma once

#include <string_view>

#include "supervise/log.h"
#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

inline constexpr const char* kJournalSocket = "/run/systemd/journal/socket";

// Whether there is a journal that takes entries.
SysResult<void> check_journal(const char* path = kJournalSocket) noexcept;

class JournalLog final : public Log {
 public:
  // `fields`: what stands in each entry, in the native form; as the path, outlives us.
  explicit JournalLog(std::string_view fields, const char* path = kJournalSocket) noexcept
      : fields_(fields), path_(path) {}

  // Waits for a journal that is busy, for some seconds; then lines are lost and counted until it takes
  // one, which says so.
  void add(std::string_view line, std::string_view stream, const timespec& now) noexcept override;
  void flush() noexcept override {}
  void trim() noexcept override {}
  bool flooded() const noexcept override { return false; }

 private:
  bool send(std::string_view line, bool error, bool partial) noexcept;
  bool connect() noexcept;
  void report_loss() noexcept;

  std::string_view fields_;
  const char* path_;
  Fd socket_;
  std::uint64_t lost_bytes_ = 0;
};

}  // namespace bulkhead::supervise
