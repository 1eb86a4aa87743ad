#include "storage/fetch/exchange.h"

#include <gtest/gtest.h>

#include "storage/fetch/url.h"

namespace bulkhead::storage {
namespace {

TEST(Url, KnowsWhoseServerItIs) {
  const auto base = parse_url("https://Registry.example/v2/");
  ASSERT_TRUE(base);
  EXPECT_EQ(base->host, "registry.example");
  EXPECT_EQ(base->port, 443);
  EXPECT_TRUE(base->same_server(*parse_url("https://registry.example:443/other")));
  for (const char* text : {"http://registry.example/", "https://registry.example:444/",
                           "https://registry.example.evil/", "https://x.registry.example/"})
    EXPECT_FALSE(base->same_server(*parse_url(text))) << text;
}

TEST(Url, ResolvesWhatALocationSays) {
  const auto base = parse_url("https://r.example:5000/v2/x/");
  const auto resolved = [&](const std::string& text) {
    const auto url = resolve_url(*base, text);
    return url ? url->text : "refused";
  };
  EXPECT_EQ(resolved("/v2/y?a=b#c"), "https://r.example:5000/v2/y?a=b");
  EXPECT_EQ(resolved("https://cdn.example/x"), "https://cdn.example/x");
  EXPECT_EQ(resolved("//cdn.example/x"), "https://cdn.example/x");
  EXPECT_EQ(target_of(*resolve_url(*base, "/v2/y?a=b")), "/v2/y?a=b");
}

TEST(Url, RefusesWhatMustNotBeRequested) {
  for (const char* text : {"", "file:///etc/passwd", "ftp://x/", "gopher://x/", "https://u:p@x/",
                           "https://u@x/", "https://", "https://x y/", "https://x/\r\nA: b",
                           "https://[fe80::1%25eth0]/", "https://x:0/", "https://x:99999/"})
    EXPECT_FALSE(parse_url(text)) << text;
}

TEST(RegistryMessage, IsTakenOutOfTheErrorDocument) {
  EXPECT_EQ(registry_message(R"({"errors":[{"code":"DENIED","message":"no"},{"code":"UNKNOWN"}]})"),
            "no; UNKNOWN");
  EXPECT_EQ(registry_message(R"({"details":"incorrect username or password"})"),
            "incorrect username or password");
  EXPECT_EQ(registry_message("<html>"), "");
  EXPECT_EQ(registry_message("[]"), "");
  const std::string hostile = registry_message("{\"errors\":[{\"message\":\"\\u001b[2Jx\"}]}");
  EXPECT_EQ(hostile.find('\x1b'), std::string::npos);
}

TEST(Token, IsOneThatAHeaderCanHold) {
  EXPECT_EQ(token_in(R"({"token":"abc"})"), "abc");
  EXPECT_EQ(token_in(R"({"access_token":"abc"})"), "abc");
  for (const char* text : {"", "{}", "[]", R"({"token":""})", R"({"token":1})",
                           R"({"token":"a b"})", R"({"token":"a\r\nX: y"})"})
    EXPECT_FALSE(token_in(text)) << text;
  EXPECT_FALSE(token_in(R"({"token":")" + std::string(kLongestToken + 1, 'a') + "\"}"));
}

}  // namespace
}  // namespace bulkhead::storage
