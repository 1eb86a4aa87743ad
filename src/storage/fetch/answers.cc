// What registries and token servers say in JSON.
#include <algorithm>

#include "base/text.h"
#include "json/parse.h"
#include "storage/fetch/exchange.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostErrors = 4;
constexpr json::Limits kLimits{.bytes = 256 * 1024, .depth = 16, .values = 4096};

std::string_view text_of(const json::Value& object, std::string_view key) {
  const json::Value* const value = object.find(key);
  return value != nullptr ? value->as_string() : std::string_view();
}

// Their words must not steer a terminal.
std::string harmless(std::string_view text) {
  const std::string quotes = quoted(text, 300);
  return quotes.substr(1, quotes.rfind('"') - 1);
}

}  // namespace

std::string registry_message(std::string_view body) {
  const auto document = json::parse(body, kLimits);
  if (!document) return {};
  std::string text;
  if (const json::Value* const errors = document->root().find("errors")) {
    for (const json::Value& error :
         errors->items().first(std::min(errors->items().size(), kMostErrors))) {
      const std::string_view message = text_of(error, "message");
      const std::string_view said = message.empty() ? text_of(error, "code") : message;
      if (!said.empty()) text.append(text.empty() ? "" : "; ").append(harmless(said));
    }
  }
  if (text.empty()) text = harmless(text_of(document->root(), "details"));
  return text;
}

Result<std::string> token_in(std::string_view body) {
  const auto document = json::parse(body, kLimits);
  if (!document) return fail(ErrorKind::kInvalid, "the token server's answer is not JSON");
  for (const char* key : {"token", "access_token"}) {
    const std::string_view token = text_of(document->root(), key);
    if (token.empty()) continue;
    if (token.size() > kLongestToken ||
        !std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7F; }))
      return fail(ErrorKind::kInvalid, "the token server gave a token that is none");
    return std::string(token);
  }
  return fail(ErrorKind::kInvalid, "the token server gave no token");
}

}  // namespace bulkhead::storage
