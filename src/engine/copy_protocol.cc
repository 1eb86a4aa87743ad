#include "engine/copy_protocol.h"

#include <cstring>
#include <type_traits>

#include "base/text.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostPath = 4095;
constexpr std::size_t kMostText = 8 << 10;

struct RequestHead {
  std::uint32_t task = 0;
  std::uint32_t follow = 0;
  std::uint32_t links = 0;
  std::uint32_t owners = 0;
  std::uint32_t foreign = 0;
  std::uint32_t path_size = 0;
};
struct AnswerHead {
  std::int32_t error = 0;
  std::uint32_t kind = 0;
  std::uint32_t is_directory = 0;
  std::uint32_t text_size = 0;
  std::uint64_t size = 0;
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t sockets = 0;
  std::uint64_t devices = 0;
  std::uint64_t shortened = 0;
};
static_assert(std::is_trivially_copyable_v<RequestHead> &&
              std::is_trivially_copyable_v<AnswerHead>);

std::unexpected<Error> meaningless() {
  return fail(ErrorKind::kInvalid, "the process that copies said something that has no meaning",
              "something in the container may have taken it over: do not trust the container");
}

template <class Head>
bool take_head(std::string_view& packet, Head& head) {
  if (packet.size() < sizeof head || packet.size() > kMostCopyPacket) return false;
  std::memcpy(&head, packet.data(), sizeof head);
  packet.remove_prefix(sizeof head);
  return true;
}

template <class Head>
std::string with_head(const Head& head, std::string_view text) {
  std::string packet(sizeof head, '\0');
  std::memcpy(packet.data(), &head, sizeof head);
  return packet.append(text);
}

// As quoted(), but for marks that our own messages have.
std::string printable(std::string_view text) {
  std::string safe;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = utf8_length(rest);
    const auto first = static_cast<unsigned char>(rest.front());
    const bool control = length == 0 || first < 0x20 || first == 0x7F ||
                         (first == 0xC2 && static_cast<unsigned char>(rest[1]) < 0xA0);
    const std::size_t size = length == 0 ? 1 : length;
    if (control)
      safe += '?';
    else
      safe.append(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  return safe;
}

}  // namespace

std::string encode(const CopyRequest& request) {
  RequestHead head;
  head.task = static_cast<std::uint32_t>(request.task);
  head.follow = request.follow ? 1 : 0;
  head.links = request.rules.links == storage::Links::kFollow ? 1 : 0;
  head.owners = request.rules.owners == storage::Owners::kArchived ? 1 : 0;
  head.foreign = request.rules.foreign ? 1 : 0;
  head.path_size = static_cast<std::uint32_t>(request.path.size());
  return with_head(head, request.path + request.name);
}

Result<CopyRequest> decode_copy_request(std::string_view packet) {
  RequestHead head;
  if (!take_head(packet, head) || head.path_size > packet.size() || head.path_size > kMostPath ||
      packet.size() - head.path_size > kMostPath || head.task < 1 || head.task > 3 ||
      packet.find('\0') != std::string_view::npos)
    return meaningless();
  CopyRequest request;
  request.task = static_cast<CopyTask>(head.task);
  request.follow = head.follow != 0;
  request.rules.links = head.links != 0 ? storage::Links::kFollow : storage::Links::kRefuse;
  request.rules.owners = head.owners != 0 ? storage::Owners::kArchived : storage::Owners::kOurs;
  request.rules.foreign = head.foreign != 0;
  request.path = packet.substr(0, head.path_size);
  request.name = packet.substr(head.path_size);
  return request;
}

std::string encode(const CopyAnswer& answer) {
  AnswerHead head;
  head.error = answer.error;
  head.kind = static_cast<std::uint32_t>(answer.kind);
  head.is_directory = answer.is_directory ? 1 : 0;
  head.size = answer.size;
  head.bytes = answer.notes.bytes;
  head.entries = answer.notes.entries;
  head.sockets = answer.notes.sockets;
  head.devices = answer.notes.devices;
  head.shortened = answer.notes.shortened;
  const std::string_view text = std::string_view(answer.text).substr(0, kMostText);
  head.text_size = static_cast<std::uint32_t>(text.size());
  return with_head(head, text);
}

Result<CopyAnswer> decode_copy_answer(std::string_view packet) {
  AnswerHead head;
  if (!take_head(packet, head) || head.text_size != packet.size() || packet.size() > kMostText ||
      head.error < -1 || head.error > 4095)
    return meaningless();
  CopyAnswer answer;
  answer.error = head.error;
  // Only the kinds that unpacking and packing know; any other is just a failure.
  for (const ErrorKind kind : {ErrorKind::kInvalid, ErrorKind::kState, ErrorKind::kUnsupported,
                               ErrorKind::kNotFound, ErrorKind::kPermission})
    if (head.kind == static_cast<std::uint32_t>(kind)) answer.kind = kind;
  answer.is_directory = head.is_directory != 0;
  answer.size = head.size;
  answer.notes = {head.bytes, head.entries, head.sockets, head.devices, head.shortened};
  answer.text = printable(packet);
  return answer;
}

}  // namespace bulkhead::engine
