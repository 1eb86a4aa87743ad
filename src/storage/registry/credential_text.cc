#include "storage/registry/credential_text.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "json/edit.h"
#include "json/parse.h"
#include "json/writer.h"
#include "storage/reference.h"
#include "storage/registry/base64.h"
#include "storage/registry/message.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kDockerKey = "https://index.docker.io/v1/";
constexpr std::string_view kTokenUser = "<token>";

// The keys under which the credentials may stand, the likeliest first. Old versions of Docker wrote
// URLs.
std::vector<std::string> keys_of(std::string_view registry) {
  std::vector<std::string> keys{credentials_key(registry)};
  const std::vector<std::string_view> names =
      registry == kDefaultRegistry
          ? std::vector<std::string_view>{"docker.io", "index.docker.io", "registry-1.docker.io"}
          : std::vector<std::string_view>{registry};
  for (const std::string_view name : names)
    for (const char* prefix : {"", "https://", "http://"})
      for (const char* suffix : {"", "/", "/v1/", "/v2/"})
        if (std::string key = prefix + std::string(name) + suffix;
            std::ranges::find(keys, key) == keys.end())
          keys.push_back(std::move(key));
  return keys;
}

Result<json::Document> parse_config(std::string_view config) {
  auto document = json::parse(config, {.bytes = 4 << 20});
  if (!document) return std::unexpected(std::move(document).error());
  if (document->root().type() != json::Type::kObject)
    return fail(ErrorKind::kInvalid, "it is not a JSON object");
  return document;
}

const json::Value* member(const json::Value* object, std::string_view key) {
  return object == nullptr ? nullptr : object->find(key);
}

std::string text_of(const json::Value* object, std::string_view key) {
  const json::Value* const value = member(object, key);
  return value == nullptr ? std::string() : std::string(value->as_string());
}

Result<Credentials> decode_entry(const json::Value& entry, const std::string& key) {
  Credentials credentials;
  credentials.user = text_of(&entry, "username");
  credentials.password = text_of(&entry, "password");
  credentials.identity_token = text_of(&entry, "identitytoken");
  if (const std::string auth = text_of(&entry, "auth"); !auth.empty()) {
    const auto decoded = from_base64(auth);
    const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos)
      return fail(ErrorKind::kInvalid,
                  "auths." + key + ".auth is not the base64 form of USER:PASSWORD",
                  "log in again: bulkhead login");
    credentials.user = decoded->substr(0, colon);
    credentials.password = decoded->substr(colon + 1);
    // Docker once padded it with NUL bytes.
    credentials.password.erase(
        std::min(credentials.password.find('\0'), credentials.password.size()));
  }
  if (credentials.user.size() > kLongestSecret || credentials.password.size() > kLongestSecret ||
      credentials.identity_token.size() > kLongestSecret)
    return fail(ErrorKind::kInvalid, "auths." + key + " is too long");
  return credentials;
}

std::string encode_entry(const Credentials& credentials) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  if (!credentials.user.empty())
    writer.member("auth", base64(credentials.user + ":" +
                                 (credentials.identity_token.empty() ? credentials.password : "")));
  if (!credentials.identity_token.empty())
    writer.member("identitytoken", credentials.identity_token);
  writer.end_object();
  return out;
}

std::string as_string(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

}  // namespace

std::string credentials_key(std::string_view registry) {
  return std::string(registry == kDefaultRegistry ? kDockerKey : registry);
}

Result<std::string> helper_in(std::string_view config, std::string_view registry) {
  TRY_ASSIGN(const json::Document document, parse_config(config));
  const json::Value* const helpers = document.root().find("credHelpers");
  for (const std::string& key : keys_of(registry))
    if (std::string name = text_of(helpers, key); !name.empty()) return name;
  return text_of(&document.root(), "credsStore");
}

Result<std::optional<Credentials>> credentials_in(std::string_view config,
                                                  std::string_view registry) {
  TRY_ASSIGN(const json::Document document, parse_config(config));
  const json::Value* const auths = document.root().find("auths");
  for (const std::string& key : keys_of(registry)) {
    const json::Value* const entry = member(auths, key);
    if (entry == nullptr) continue;
    TRY_ASSIGN(Credentials credentials, decode_entry(*entry, key));
    if (!credentials.empty()) return credentials;
  }
  return std::nullopt;
}

Result<std::string> with_credentials(std::string_view config, std::string_view registry,
                                     const Credentials& credentials) {
  std::string text(trim(config).empty() ? "{\n}\n" : config);
  TRY(parse_config(text));
  TRY_ASSIGN(const auto cleared, without_credentials(text, registry));
  if (cleared) text = *cleared;
  const std::string entry = as_string(credentials_key(registry)) + ": " + encode_entry(credentials);
  const auto root = json::object_at(text, 0);
  const json::MemberSpan* const auths = root ? root->find("auths") : nullptr;
  if (auths == nullptr)
    return json::with_first_member(text, *root, "\n\t", "\"auths\": {\n\t\t" + entry + "\n\t}");
  const auto entries = json::object_at(text, auths->value);
  if (!entries) return json::with_value(text, *auths, "{\n\t\t" + entry + "\n\t}");
  return json::with_first_member(text, *entries, "\n\t\t", entry);
}

Result<std::optional<std::string>> without_credentials(std::string_view config,
                                                       std::string_view registry) {
  std::string text(config);
  TRY(parse_config(text));
  bool changed = false;
  for (const std::string& key : keys_of(registry)) {
    const auto root = json::object_at(text, 0);
    const json::MemberSpan* const auths = root ? root->find("auths") : nullptr;
    const auto entries =
        auths == nullptr ? std::optional<json::ObjectSpan>() : json::object_at(text, auths->value);
    const json::MemberSpan* const entry = entries ? entries->find(key) : nullptr;
    if (entry == nullptr) continue;
    text = json::without_member(text, *entries, *entry);
    changed = true;
  }
  if (!changed) return std::nullopt;
  return text;
}

Result<Credentials> decode_helper_answer(std::string_view json) {
  TRY_ASSIGN(const json::Document document, parse_config(json));
  Credentials credentials;
  credentials.user = text_of(&document.root(), "Username");
  credentials.password = text_of(&document.root(), "Secret");
  if (credentials.user.size() > kLongestSecret || credentials.password.size() > kLongestSecret)
    return fail(ErrorKind::kInvalid, "its answer is too long");
  if (credentials.user == kTokenUser) {
    credentials.identity_token = std::move(credentials.password);
    credentials.user.clear();
    credentials.password.clear();
  }
  return credentials;
}

std::string encode_for_helper(std::string_view key, const Credentials& credentials) {
  std::string out;
  json::Writer writer(out);
  const bool token = !credentials.identity_token.empty();
  writer.begin_object();
  writer.member("ServerURL", key);
  writer.member("Username", token ? kTokenUser : std::string_view(credentials.user));
  writer.member("Secret", token ? credentials.identity_token : credentials.password);
  writer.end_object();
  return out;
}

}  // namespace bulkhead::storage
