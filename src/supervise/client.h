// The other end of a monitor's socket.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "supervise/protocol.h"
#include "supervise/restart.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

struct EndNotice {
  bool for_good = false;
  bool timed_out = false;
  int code = 0;
  int signal = 0;
};

class MonitorClient {
 public:
  // Nothing when nobody listens: the container has no monitor, or it was killed.
  static Result<std::optional<MonitorClient>> connect(const std::string& socket_directory,
                                                      std::string_view id);
  // The end of a socket pair whose other end a monitor was forked with: no welcome is needed.
  static MonitorClient of_pair(Fd socket);

  std::uint16_t version() const noexcept { return version_; }
  std::int32_t monitor_pid() const noexcept { return pid_; }
  int get() const noexcept { return socket_.get(); }

  // Each waits for the monitor's answer. A monitor that does not know the request is kUnsupported.
  Result<void> stopping();
  Result<void> set_restart(const RestartPolicy& policy);
  // Whether it is a terminal that one has attached to.
  Result<bool> attach(std::uint8_t streams, std::uint16_t rows, std::uint16_t columns);

  // To be told of the container's next end: read_end() then waits for it. Nothing when the monitor was
  // killed before there was one.
  Result<void> ask_for_end();
  Result<std::optional<EndNotice>> read_end();

  // For a loop of the caller's own: poll get(). Nothing at the end of the connection.
  struct Event {
    std::uint8_t stream = 0;  // of output
    std::span<const char> bytes;
    std::optional<EndNotice> end;
  };
  Result<std::optional<Event>> next(std::span<char> buffer);  // kMostPacket bytes
  // At most kMostBytes; EAGAIN when the monitor takes nothing now: poll get() for writing.
  SysResult<void> send_input(std::span<const char> bytes);
  SysResult<void> end_input();
  SysResult<void> resize(std::uint16_t rows, std::uint16_t columns);

 private:
  explicit MonitorClient(Fd socket) : socket_(std::move(socket)) {}
  Result<void> greet(std::string_view id);
  Result<std::span<const char>> request(std::span<const char> packet, std::span<char> answer);

  Fd socket_;
  std::uint16_t version_ = kHighestVersion;
  std::int32_t pid_ = 0;
};

}  // namespace bulkhead::supervise
