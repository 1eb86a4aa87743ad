// One server that has a registry's repositories: the registry itself, or a mirror of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/registry/credentials.h"
#include "storage/registry/message.h"
#include "storage/registry/settings.h"

namespace bulkhead::storage {

struct Endpoint {
  std::string registry;  // its name, for messages: "docker.io", "mirror.example:5000"
  std::string origin;    // "https://registry-1.docker.io"
  RegistrySettings settings;
  std::optional<Credentials> credentials;
  std::string proxy;
  std::vector<std::string> proxy_exceptions;
};

enum class Purpose { kPull, kPush };

// Where to look, in order: mirrors (of a pull) before the registry. A loopback registry of which
// nothing is said comes twice, by HTTPS and by HTTP.
Result<std::vector<Endpoint>> endpoints_of(const Settings& settings,
                                           const CredentialFile& credentials,
                                           const std::string& registry, Purpose purpose);

FetcherSetup setup_for(const Endpoint& endpoint);
DialerSetup dialer_setup_for(const Endpoint& endpoint);

}  // namespace bulkhead::storage
