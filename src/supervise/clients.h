// The clients of a monitor: who asks what, who has attached, and who waits for the end.
#pragma once

#include <poll.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "supervise/protocol.h"
#include "supervise/restart.h"
#include "sys/fd.h"

namespace bulkhead::supervise {

// What clients ask of their monitor.
class Requests {
 public:
  virtual ~Requests() = default;
  virtual bool is_terminal() const = 0;
  virtual bool takes_input() const = 0;  // there is room for what a client types
  virtual void input(std::span<const char> bytes) = 0;
  virtual void input_ended() = 0;
  virtual void resize(std::uint16_t rows, std::uint16_t columns) = 0;
  virtual void stopping() = 0;
  virtual void restart_policy(const RestartPolicy& policy) = 0;
};

class Clients {
 public:
  static constexpr std::size_t kMost = 64;

  explicit Clients(std::string_view id) : id_(id) {}

  // Listens at `directory`/`name`; what a monitor that was killed has left there is replaced.
  SysResult<void> listen(int directory, std::string_view name) noexcept;
  void stop_listening() noexcept;
  // One that needs no welcome, because the monitor was forked with it.
  void adopt(Fd socket, std::uint8_t streams) noexcept;

  // The descriptors to poll, into `items`; how many. serve() then handles what has happened.
  std::size_t prepare(std::span<struct pollfd> items, bool takes_input) const noexcept;
  void serve(std::span<const struct pollfd> items, Requests& requests) noexcept;

  // Sends output to all who have attached to that stream. False: somebody has not taken it yet; nothing
  // more may be sent until deliver() says true. Who takes nothing for ten seconds is let go.
  bool output(std::uint8_t stream, std::span<const char> bytes, std::int64_t now) noexcept;
  bool deliver(std::int64_t now) noexcept;
  bool any_attached() const noexcept;

  // To everybody who waits or has attached.
  void ended(std::uint8_t flags, int code, int signal) noexcept;

 private:
  struct Client {
    Fd socket;
    std::uint8_t streams = 0;  // attached to
    bool welcome = false;
    bool waits = false;
    bool owes = false;  // has not taken the last output yet
  };
  void accept() noexcept;
  void handle(Client& client, Requests& requests) noexcept;
  void answer(Client& client, std::span<const char> packet) noexcept;
  bool send_output(Client& client) noexcept;
  void drop(Client& client) noexcept { client = Client{}; }

  std::string_view id_;
  Fd listener_;
  std::array<Client, kMost> clients_;
  // The output that somebody has not taken yet; its bytes are the caller's.
  std::uint8_t stream_ = 0;
  std::span<const char> bytes_;
  std::int64_t owed_since_ = 0;
};

}  // namespace bulkhead::supervise
