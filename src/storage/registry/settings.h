// How registries are reached: one TOML file, docs/man/bulkhead-registries.5. Without it every
// registry is reached by HTTPS with the system's certificates, and short names mean docker.io.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/reference.h"

namespace bulkhead::storage {

inline constexpr const char* kSettingsFile = "/etc/bulkhead/registries.toml";

struct RegistrySettings {
  enum class Scheme {
    kHttps,
    kHttp,    // http = true
    kEither,  // a loopback registry that nothing is said about: HTTPS, or else HTTP
  } scheme = Scheme::kHttps;
  bool skip_verify = false;
  std::string authorities;         // ca: a file of PEM certificates beside the system's
  std::string client_certificate;  // PEM
  std::string client_key;
  std::vector<std::string> mirrors;      // registries that have the same repositories
  std::vector<std::string> allow_hosts;  // "host:port" of a private network that it may send us to
  std::string proxy;
  unsigned stall_seconds = 60;
  std::uint64_t chunk_bytes = 64 << 20;  // of an upload; blobs that fit are sent in one piece
};

struct Settings {
  std::vector<std::string> search;  // registries of short names, in order; never empty
  std::map<std::string, Reference, std::less<>> aliases;  // of short names, without tags
  std::map<std::string, RegistrySettings, std::less<>> registries;
  std::string file;  // where they were read from; empty: nowhere

  // Those of the registry, or the defaults, in which only loopback hosts are reached by HTTP.
  RegistrySettings of(std::string_view registry) const;
};

// kInvalid names the line or the key. `file` is for messages.
Result<Settings> parse_settings(std::string_view toml, const std::string& file);

// `file`: by an option or the environment, must exist then; empty: kSettingsFile if it is there.
Result<Settings> read_settings(const std::string& file);

// "localhost", 127.0.0.0/8, "[::1]", with or without a port.
bool is_loopback_registry(std::string_view registry);

// What a short or whole name may mean, in order: of a whole name itself, of an alias what it stands
// for, else one of each registry in the search list.
Result<std::vector<Reference>> candidates(const Settings& settings, std::string_view name);

}  // namespace bulkhead::storage
