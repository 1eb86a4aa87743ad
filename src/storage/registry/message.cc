#include "storage/registry/message.h"

#include <algorithm>

namespace bulkhead::storage {
namespace {

constexpr std::size_t kShortText = 1024;
constexpr std::size_t kMostTexts = 256;
// A fetcher says one of several things where another could come, too.
constexpr std::uint64_t kHeadTag = 1;
constexpr std::uint64_t kResultTag = 2;
constexpr std::uint64_t kProgressTag = 3;

std::unexpected<Error> senseless(const char* what) {
  return fail(ErrorKind::kInvalid, std::string(what) + " said something that it cannot mean");
}

}  // namespace

void MessageWriter::number(std::uint64_t value) {
  for (int i = 0; i < 8; ++i, value >>= 8) out_ += static_cast<char>(value & 0xFF);
}

void MessageWriter::text(std::string_view value) {
  number(value.size());
  out_ += value;
}

void MessageWriter::texts(const std::vector<std::string>& values) {
  number(values.size());
  for (const std::string& value : values) text(value);
}

std::string_view MessageReader::take(std::size_t size) {
  if (!whole_ || size > rest_.size()) {
    whole_ = false;
    return {};
  }
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

std::uint64_t MessageReader::number() {
  const std::string_view bytes = take(8);
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i)
    value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  return value;
}

std::uint64_t MessageReader::choice(std::uint64_t count) {
  const std::uint64_t value = number();
  if (value < count) return value;
  whole_ = false;
  return 0;
}

std::string MessageReader::text(std::size_t limit) {
  const std::uint64_t size = number();
  if (size > limit) whole_ = false;
  return std::string(take(size));
}

std::string MessageReader::token(std::size_t limit) {
  std::string value = text(limit);
  if (!std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7F; })) whole_ = false;
  return value;
}

std::vector<std::string> MessageReader::tokens(std::size_t limit) {
  std::vector<std::string> values;
  const std::uint64_t count = number();
  if (count > kMostTexts) whole_ = false;
  while (whole_ && values.size() < count) values.push_back(token(limit));
  return values;
}

std::string_view name_of(Method method) {
  switch (method) {
    case Method::kGet: return "GET";
    case Method::kHead: return "HEAD";
    case Method::kPost: return "POST";
    case Method::kPut: return "PUT";
    case Method::kPatch: return "PATCH";
    case Method::kDelete: return "DELETE";
  }
  return "GET";
}

std::string encode(const FetcherSetup& setup) {
  MessageWriter out;
  out.text(setup.origin);
  out.text(setup.user_agent);
  out.text(setup.user);
  out.text(setup.password);
  out.text(setup.identity_token);
  out.text(setup.proxy);
  out.texts(setup.proxy_exceptions);
  out.number(static_cast<std::uint64_t>(setup.verify));
  out.number(setup.has_system_authorities);
  out.number(setup.has_own_authorities);
  out.number(setup.has_client_certificate);
  out.number(setup.has_client_key);
  return out.take();
}

Result<FetcherSetup> decode_setup(std::string_view message) {
  MessageReader in(message);
  FetcherSetup setup;
  setup.origin = in.token(kLongestUrl);
  setup.user_agent = in.token(kShortText);
  setup.user = in.text(kLongestSecret);
  setup.password = in.text(kLongestSecret);
  setup.identity_token = in.text(kLongestSecret);
  setup.proxy = in.token(kLongestUrl);
  setup.proxy_exceptions = in.tokens(kShortText);
  setup.verify = static_cast<FetcherSetup::Verify>(in.choice(2));
  setup.has_system_authorities = in.choice(2) != 0;
  setup.has_own_authorities = in.choice(2) != 0;
  setup.has_client_certificate = in.choice(2) != 0;
  setup.has_client_key = in.choice(2) != 0;
  if (!in.finished()) return senseless("the overseer");
  return setup;
}

std::string encode(const FetchRequest& request) {
  MessageWriter out;
  out.number(static_cast<std::uint64_t>(request.method));
  out.text(request.target);
  out.texts(request.accept);
  out.text(request.scope);
  out.text(request.bearer);
  out.text(request.content_type);
  out.number(request.body_offset);
  out.number(request.body_size);
  out.text(request.content_range);
  out.number(request.first_byte);
  out.number(request.most_bytes);
  out.number(request.stall_seconds);
  return out.take();
}

Result<FetchRequest> decode_request(std::string_view message) {
  MessageReader in(message);
  FetchRequest request;
  request.method = static_cast<Method>(in.choice(6));
  request.target = in.token(kLongestUrl);
  request.accept = in.tokens(kShortText);
  request.scope = in.token(kShortText);
  request.bearer = in.token(kLongestToken);
  request.content_type = in.token(kShortText);
  request.body_offset = in.number();
  request.body_size = in.number();
  request.content_range = in.token(kShortText);
  request.first_byte = in.number();
  request.most_bytes = in.number();
  request.stall_seconds = in.number();
  if (!in.finished()) return senseless("the overseer");
  return request;
}

std::string encode(const FetchHead& head) {
  MessageWriter out;
  out.number(kHeadTag);
  out.number(head.status);
  out.number(head.first_byte);
  out.number(head.size);
  out.number(head.retry_after);
  out.text(head.content_type);
  out.text(head.digest);
  out.text(head.location);
  out.text(head.range);
  out.text(head.next);
  out.number(head.least_chunk);
  out.text(head.bearer);
  return out.take();
}

Result<FetchHead> decode_head(std::string_view message) {
  MessageReader in(message);
  FetchHead head;
  if (in.number() != kHeadTag) return senseless("the fetcher");
  head.status = in.choice(1000);
  head.first_byte = in.number();
  head.size = in.number();
  head.retry_after = in.number();
  head.content_type = in.token(kShortText);
  head.digest = in.token(kShortText);
  head.location = in.token(kLongestUrl);
  head.range = in.token(kShortText);
  head.next = in.token(kLongestUrl);
  head.least_chunk = in.number();
  head.bearer = in.token(kLongestToken);
  if (!in.finished() || head.status < 100) return senseless("the fetcher");
  return head;
}

std::string encode(const FetchResult& result) {
  MessageWriter out;
  out.number(kResultTag);
  out.number(static_cast<std::uint64_t>(result.end));
  out.number(result.body_bytes);
  out.text(result.text);
  return out.take();
}

Result<FetchResult> decode_result(std::string_view message) {
  MessageReader in(message);
  FetchResult result;
  if (in.number() != kResultTag) return senseless("the fetcher");
  result.end = static_cast<FetchEnd>(in.choice(7));
  result.body_bytes = in.number();
  result.text = in.text(kLongestMessage);
  if (!in.finished()) return senseless("the fetcher");
  return result;
}

std::string encode(const FetchProgress& progress) {
  MessageWriter out;
  out.number(kProgressTag);
  out.number(progress.sent);
  return out.take();
}

Result<FetchProgress> decode_progress(std::string_view message) {
  MessageReader in(message);
  FetchProgress progress;
  if (in.number() != kProgressTag) return senseless("the fetcher");
  progress.sent = in.number();
  if (!in.finished()) return senseless("the fetcher");
  return progress;
}

std::string encode(const DialerSetup& setup) {
  MessageWriter out;
  out.texts(setup.trusted);
  return out.take();
}

Result<DialerSetup> decode_dialer_setup(std::string_view message) {
  MessageReader in(message);
  DialerSetup setup;
  setup.trusted = in.tokens(kShortText);
  if (!in.finished()) return senseless("the overseer");
  return setup;
}

std::string encode(const DialRequest& request) {
  MessageWriter out;
  out.text(request.host);
  out.number(request.port);
  return out.take();
}

Result<DialRequest> decode_dial_request(std::string_view message) {
  MessageReader in(message);
  DialRequest request;
  request.host = in.token(kShortText);
  request.port = in.choice(65536);
  if (!in.finished() || request.host.empty() || request.port == 0) return senseless("the fetcher");
  return request;
}

std::string encode(const DialAnswer& answer) {
  MessageWriter out;
  out.number(static_cast<std::uint64_t>(answer.end));
  out.text(answer.text);
  return out.take();
}

Result<DialAnswer> decode_dial_answer(std::string_view message) {
  MessageReader in(message);
  DialAnswer answer;
  answer.end = static_cast<DialEnd>(in.choice(4));
  answer.text = in.text(kLongestMessage);
  if (!in.finished()) return senseless("the dialer");
  return answer;
}

}  // namespace bulkhead::storage
