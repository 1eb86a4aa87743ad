#include "storage/fetch/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "storage/registry/message.h"

namespace bulkhead::storage {
namespace {

struct FreeHandle {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, FreeHandle>;

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

std::unexpected<Error> refuse(std::string_view text, const char* why) {
  return fail(ErrorKind::kInvalid, "the URL " + quoted(text, 200) + " " + why);
}

std::string part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK || text == nullptr) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

Result<Url> read(CURLU* handle, std::string_view given) {
  Url url;
  url.scheme = part(handle, CURLUPART_SCHEME);
  if (url.scheme != "http" && url.scheme != "https")
    return refuse(given, "is neither http nor https");
  if (!part(handle, CURLUPART_USER).empty() || !part(handle, CURLUPART_PASSWORD).empty())
    return refuse(given, "has a user name or a password in it");
  if (!part(handle, CURLUPART_ZONEID).empty()) return refuse(given, "names a network interface");
  (void)curl_url_set(handle, CURLUPART_FRAGMENT, nullptr, 0);
  url.host = part(handle, CURLUPART_HOST);
  for (char& c : url.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const auto port = parse_number<std::uint16_t>(part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT));
  if (url.host.empty() || !port || *port == 0) return refuse(given, "has no host or no port");
  url.port = *port;
  url.text = part(handle, CURLUPART_URL);
  if (url.text.size() > kLongestUrl || !is_plain(url.text)) return refuse(given, "is malformed");
  return url;
}

Result<Handle> set(Handle handle, const std::string& text) {
  if (text.empty() || text.size() > kLongestUrl || !is_plain(text))
    return refuse(text, "is malformed");
  if (curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return refuse(text, "is malformed");
  return handle;
}

}  // namespace

Result<Url> parse_url(const std::string& text) {
  TRY_ASSIGN(const Handle handle, set(Handle(curl_url()), text));
  return read(handle.get(), text);
}

Result<Url> resolve_url(const Url& base, const std::string& reference) {
  TRY_ASSIGN(Handle handle, set(Handle(curl_url()), base.text));
  TRY_ASSIGN(handle, set(std::move(handle), reference));
  return read(handle.get(), reference);
}

Result<std::string> target_of(const Url& url) {
  TRY_ASSIGN(const Handle handle, set(Handle(curl_url()), url.text));
  std::string target = part(handle.get(), CURLUPART_PATH);
  if (const std::string query = part(handle.get(), CURLUPART_QUERY); !query.empty())
    target.append("?").append(query);
  return target;
}

Result<Url> with_query(const Url& url, const std::string& name, const std::string& value) {
  TRY_ASSIGN(const Handle handle, set(Handle(curl_url()), url.text));
  const std::string pair = name + "=" + value;
  if (curl_url_set(handle.get(), CURLUPART_QUERY, pair.c_str(),
                   CURLU_APPENDQUERY | CURLU_URLENCODE) != CURLUE_OK)
    return refuse(url.text, "takes no more parameters");
  return read(handle.get(), url.text);
}

}  // namespace bulkhead::storage
