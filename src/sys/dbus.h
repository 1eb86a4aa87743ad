// A connection to a D-Bus peer without a bus in between, as systemd's private sockets are.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/dbus_message.h"
#include "sys/fd.h"

namespace bulkhead {

// What the other side answered, where that was an error: "org.freedesktop.systemd1.UnitExists".
struct DbusFailure {
  std::string name;
  std::string text;
};

class DbusPeer {
 public:
  // Connects and authenticates as the user that the kernel says we are (SASL EXTERNAL). kNotFound
  // when nobody listens at `path`.
  static Result<DbusPeer> connect(const std::string& path);

  // The pid of the process that listens, as this process's pid namespace has it; 0: it is in another.
  std::int32_t peer_pid() const noexcept { return peer_pid_; }

  // Calls and waits for the answer. `failure`, when given, tells an error that the other side named
  // from one of the connection.
  Result<DbusMessage> call(const DbusCall& call, const DbusBody& body,
                           DbusFailure* failure = nullptr);
  // The next signal of that name, one that came while we waited for an answer included.
  Result<DbusMessage> wait_for_signal(std::string_view member);

 private:
  explicit DbusPeer(Fd socket) : socket_(std::move(socket)) {}
  Result<void> authenticate();
  Result<DbusMessage> receive();
  Result<void> read_more();

  Fd socket_;
  std::int32_t peer_pid_ = 0;
  std::uint32_t serial_ = 0;
  std::string input_;  // received and not yet taken
  std::vector<DbusMessage> signals_;
};

}  // namespace bulkhead
