#include "storage/registry/endpoint.h"

#include <cstdlib>

#include "base/text.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kDockerHost = "registry-1.docker.io";
constexpr const char* kUserAgent = "bulkhead/" BULKHEAD_VERSION;

std::string variable(std::initializer_list<const char*> names) {
  for (const char* const name : names)
    if (const char* const value = std::getenv(name); value != nullptr && *value != '\0')
      return value;
  return {};
}

// As curl and Docker do: HTTP_PROXY in capitals is what a CGI server sets from a request's header.
std::string proxy_of(const Endpoint& endpoint) {
  if (!endpoint.settings.proxy.empty()) return endpoint.settings.proxy;
  if (endpoint.origin.starts_with("https:")) return variable({"https_proxy", "HTTPS_PROXY"});
  return variable({"http_proxy"});
}

std::vector<std::string> proxy_exceptions() {
  std::vector<std::string> exceptions{"localhost", "127.0.0.1", "[::1]"};
  for (const std::string_view entry : split(variable({"no_proxy", "NO_PROXY"}), ','))
    if (const std::string_view name = trim(entry); !name.empty() && exceptions.size() < 200)
      exceptions.emplace_back(name);
  return exceptions;
}

Result<Endpoint> endpoint_of(const Settings& settings, const CredentialFile& credentials,
                             const std::string& registry, std::string_view scheme) {
  Endpoint endpoint;
  endpoint.registry = registry;
  endpoint.origin = std::string(scheme) + "://" +
                    (registry == kDefaultRegistry ? std::string(kDockerHost) : registry);
  endpoint.settings = settings.of(registry);
  endpoint.proxy = proxy_of(endpoint);
  endpoint.proxy_exceptions = proxy_exceptions();
  TRY_ASSIGN(endpoint.credentials, credentials.find(registry));
  return endpoint;
}

Result<void> add_endpoints(const Settings& settings, const CredentialFile& credentials,
                           const std::string& registry, std::vector<Endpoint>& into) {
  using Scheme = RegistrySettings::Scheme;
  const Scheme scheme = settings.of(registry).scheme;
  if (scheme != Scheme::kHttp) {
    TRY_ASSIGN(Endpoint endpoint, endpoint_of(settings, credentials, registry, "https"));
    into.push_back(std::move(endpoint));
  }
  if (scheme != Scheme::kHttps) {
    TRY_ASSIGN(Endpoint endpoint, endpoint_of(settings, credentials, registry, "http"));
    into.push_back(std::move(endpoint));
  }
  return {};
}

// "https://host:5000" to "host:5000", with the scheme's port where none is named.
std::string place_of(const std::string& url) {
  const std::size_t begin = url.find("://") + 3;
  std::string place = url.substr(begin, url.find('/', begin) - begin);
  if (const std::size_t at = place.rfind('@'); at != std::string::npos) place.erase(0, at + 1);
  const std::size_t colon = place.rfind(':');
  if (colon == std::string::npos || place.find(']', colon) != std::string::npos)
    place += url.starts_with("https:") ? ":443" : ":80";
  return place;
}

}  // namespace

Result<std::vector<Endpoint>> endpoints_of(const Settings& settings,
                                           const CredentialFile& credentials,
                                           const std::string& registry, Purpose purpose) {
  std::vector<Endpoint> endpoints;
  if (purpose == Purpose::kPull)
    for (const std::string& mirror : settings.of(registry).mirrors)
      TRY(add_endpoints(settings, credentials, mirror, endpoints));
  TRY(add_endpoints(settings, credentials, registry, endpoints));
  return endpoints;
}

FetcherSetup setup_for(const Endpoint& endpoint) {
  FetcherSetup setup;
  setup.origin = endpoint.origin;
  setup.user_agent = kUserAgent;
  if (endpoint.credentials) {
    setup.user = endpoint.credentials->user;
    setup.password = endpoint.credentials->password;
    setup.identity_token = endpoint.credentials->identity_token;
  }
  setup.proxy = endpoint.proxy;
  setup.proxy_exceptions = endpoint.proxy_exceptions;
  if (endpoint.settings.skip_verify) setup.verify = FetcherSetup::Verify::kNothing;
  return setup;
}

DialerSetup dialer_setup_for(const Endpoint& endpoint) {
  DialerSetup setup;
  setup.trusted.push_back(place_of(endpoint.origin));
  if (!endpoint.proxy.empty()) setup.trusted.push_back(place_of(endpoint.proxy));
  for (const std::string& host : endpoint.settings.allow_hosts) setup.trusted.push_back(host);
  return setup;
}

}  // namespace bulkhead::storage
