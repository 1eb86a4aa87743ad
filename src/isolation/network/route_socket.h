// Requests to the kernel's routing subsystem (rtnetlink(7)), one at a time, each with its answer.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/error.h"
#include "sys/fd.h"

namespace bulkhead::isolation {

// A message under construction: a header, the fixed part of its type, attributes.
class RouteMessage {
 public:
  template <class Body>
  RouteMessage(std::uint16_t type, std::uint16_t flags, const Body& body) {
    struct nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    append(&header, sizeof header);
    append(&body, sizeof body);
  }
  void add(std::uint16_t type, std::string_view payload);
  void add_text(std::uint16_t type, std::string_view text);  // with its end
  void add_number(std::uint16_t type, std::uint32_t number);
  // The bytes, with the length in the header.
  std::string_view finish();

 private:
  void append(const void* data, std::size_t size);
  std::vector<char> bytes_;
};

struct RouteAttribute {
  std::uint16_t type = 0;
  std::string_view payload;
};
// The attributes after the fixed part of an answer.
std::vector<RouteAttribute> attributes_of(const struct nlmsghdr& message, std::size_t fixed_size);

class RouteSocket {
 public:
  // In the network namespace that this process is in; it stays there.
  static SysResult<RouteSocket> open() noexcept;

  // Carries the request out, or says with which error the kernel refuses it.
  SysResult<void> request(RouteMessage& message, const char* what) const;
  // As request; every answer before the end is handed to `take`.
  SysResult<void> ask(RouteMessage& message, const char* what,
                      const std::function<void(const struct nlmsghdr&)>& take) const;

 private:
  Fd fd_;
};

}  // namespace bulkhead::isolation
