#include "storage/registry/settings.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/text.h"
#include "storage/registry/toml_document.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostSettings = 1 << 20;
constexpr std::size_t kMostRegistries = 1000;
constexpr unsigned kLongestStall = 3600;
constexpr std::int64_t kLargestChunkMib = 4096;

// Reads the members of one table; whatever is left over has been misspelled.
class TableReader {
 public:
  TableReader(const std::string& file, std::string where, const TomlTable& table)
      : file_(file), where_(std::move(where)), table_(table) {}

  template <class T>
  const T* find(std::string_view key, std::string_view expected) {
    known_.push_back(key);
    const auto at = table_.find(key);
    if (at == table_.end() || error_) return nullptr;
    const T* const value = std::get_if<T>(&at->second.value);
    if (value == nullptr) refuse(key, at->second.line, std::string(expected) + " is expected");
    return value;
  }
  void read(std::string_view key, bool& into) {
    if (const auto* value = find<bool>(key, "true or false")) into = *value;
  }
  void read(std::string_view key, std::string& into) {
    if (const auto* value = find<std::string>(key, "a text")) into = *value;
  }
  void read(std::string_view key, std::vector<std::string>& into) {
    const auto* const items = find<TomlArray>(key, "a list of texts");
    if (items == nullptr) return;
    for (const TomlValue& item : *items) {
      const auto* const text = std::get_if<std::string>(&item.value);
      if (text == nullptr) return refuse(key, item.line, "a list of texts is expected");
      into.push_back(*text);
    }
  }
  void refuse(std::string_view key, unsigned line, const std::string& why) {
    if (error_) return;
    std::string place = quoted(file_);
    if (line != 0) place += ", line " + std::to_string(line);
    const std::string name = where_.empty() ? std::string(key) : where_ + "." + std::string(key);
    error_ = Error(ErrorKind::kInvalid, place + ": " + quoted(name) + ": " + why,
                   "man 5 bulkhead-registries lists the settings");
  }
  void refuse(std::string_view key, const std::string& why) { refuse(key, line_of(key), why); }

  Result<void> finish() {
    for (const auto& [key, value] : table_)
      if (std::ranges::find(known_, key) == known_.end())
        refuse(key, value.line, "there is no such setting");
    if (error_) return std::unexpected(*std::move(error_));
    return {};
  }

 private:
  unsigned line_of(std::string_view key) const {
    const auto at = table_.find(key);
    return at == table_.end() ? 0 : at->second.line;
  }
  const std::string& file_;
  std::string where_;
  const TomlTable& table_;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

void check_paths(TableReader& reader, const RegistrySettings& registry) {
  for (const auto& [key, path] : {std::pair{"ca", &registry.authorities},
                                  std::pair{"client-cert", &registry.client_certificate},
                                  std::pair{"client-key", &registry.client_key}})
    if (!path->empty() && !path->starts_with('/'))
      reader.refuse(key, "an absolute path is expected");
}

Result<RegistrySettings> read_registry(const std::string& file, const std::string& name,
                                       const TomlTable& table) {
  TableReader reader(file, "registry." + name, table);
  RegistrySettings registry;
  if (is_loopback_registry(name)) registry.scheme = RegistrySettings::Scheme::kEither;
  if (const bool* const http = reader.find<bool>("http", "true or false"))
    registry.scheme = *http ? RegistrySettings::Scheme::kHttp : RegistrySettings::Scheme::kHttps;
  reader.read("skip-verify", registry.skip_verify);
  reader.read("ca", registry.authorities);
  reader.read("client-cert", registry.client_certificate);
  reader.read("client-key", registry.client_key);
  reader.read("mirrors", registry.mirrors);
  reader.read("allow-hosts", registry.allow_hosts);
  reader.read("proxy", registry.proxy);
  if (const auto* const seconds = reader.find<std::int64_t>("stall-seconds", "a number")) {
    if (*seconds < 1 || *seconds > kLongestStall)
      reader.refuse("stall-seconds",
                    "a number from 1 to " + std::to_string(kLongestStall) + " is expected");
    else
      registry.stall_seconds = static_cast<unsigned>(*seconds);
  }
  if (const auto* const chunk = reader.find<std::int64_t>("chunk-mib", "a number")) {
    if (*chunk < 1 || *chunk > kLargestChunkMib)
      reader.refuse("chunk-mib",
                    "a number from 1 to " + std::to_string(kLargestChunkMib) + " is expected");
    else
      registry.chunk_bytes = static_cast<std::uint64_t>(*chunk) << 20;
  }
  check_paths(reader, registry);
  if (!registry.client_key.empty() && registry.client_certificate.empty())
    reader.refuse("client-key", "a key without client-cert proves nothing");
  if (!registry.proxy.empty() && !registry.proxy.starts_with("http://"))
    reader.refuse("proxy", "a URL that begins with http:// is expected");
  for (const std::string& mirror : registry.mirrors)
    if (!is_registry_name(mirror))
      reader.refuse("mirrors", quoted(mirror) + " is not the name of a registry (HOST[:PORT])");
  for (const std::string& host : registry.allow_hosts)
    if (!is_registry_name(host) || host.rfind(':') == std::string::npos || host.ends_with(']'))
      reader.refuse("allow-hosts", quoted(host) + " is not HOST:PORT");
  TRY(reader.finish());
  return registry;
}

void read_aliases(TableReader& reader, Settings& settings) {
  const auto* const table = reader.find<TomlTable>("aliases", "a table");
  if (table == nullptr) return;
  for (const auto& [name, value] : *table) {
    const auto* const text = std::get_if<std::string>(&value.value);
    const auto target = parse_reference(text != nullptr ? *text : "");
    const std::string key = "aliases." + name;
    if (!is_repository_name(name) || names_registry(name + "/"))
      reader.refuse(key, value.line, "a short name without a tag is expected");
    else if (text == nullptr || !target || !names_registry(*text) || !target->digest.empty())
      reader.refuse(key, value.line, "a name with its registry is expected");
    else
      settings.aliases.emplace(name, *target);
  }
}

bool has_own_version(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return name.find_first_of(":@", slash == std::string_view::npos ? 0 : slash) !=
         std::string_view::npos;
}

}  // namespace

RegistrySettings Settings::of(std::string_view registry) const {
  if (const auto at = registries.find(registry); at != registries.end()) return at->second;
  RegistrySettings defaults;
  if (is_loopback_registry(registry)) defaults.scheme = RegistrySettings::Scheme::kEither;
  return defaults;
}

bool is_loopback_registry(std::string_view registry) {
  if (registry.starts_with('[')) {
    const std::size_t end = registry.find(']');
    struct in6_addr address{};
    if (end == std::string_view::npos ||
        ::inet_pton(AF_INET6, std::string(registry.substr(1, end - 1)).c_str(), &address) != 1)
      return false;
    return IN6_IS_ADDR_LOOPBACK(&address);
  }
  const std::string host(registry.substr(0, registry.find(':')));
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  struct in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

Result<Settings> parse_settings(std::string_view toml, const std::string& file) {
  TRY_ASSIGN(const TomlTable document, parse_toml(toml, file));
  Settings settings;
  settings.file = file;
  TableReader reader(file, "", document);
  reader.read("search", settings.search);
  for (const std::string& registry : settings.search)
    if (!is_distinct_registry(registry))
      reader.refuse("search", quoted(registry) +
                                  " is not the name of a registry: one has a dot or a port, or is "
                                  "localhost");
  if (settings.search.empty()) settings.search.emplace_back(kDefaultRegistry);
  read_aliases(reader, settings);
  if (const auto* const table = reader.find<TomlTable>("registry", "a table")) {
    if (table->size() > kMostRegistries) reader.refuse("registry", "too many registries");
    for (const auto& [name, value] : *table) {
      const auto* const members = std::get_if<TomlTable>(&value.value);
      if (members == nullptr || !is_distinct_registry(name)) {
        reader.refuse("registry." + name, value.line,
                      "a table named by a registry is expected: [registry.\"HOST:PORT\"]");
        continue;
      }
      TRY_ASSIGN(RegistrySettings registry, read_registry(file, name, *members));
      settings.registries.emplace(name, std::move(registry));
    }
  }
  TRY(reader.finish());
  return settings;
}

Result<Settings> read_settings(const std::string& file) {
  const std::string path = file.empty() ? kSettingsFile : file;
  const auto opened = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NOCTTY);
  if (!opened) {
    if (!file.empty() || opened.error().error != ENOENT)
      return std::unexpected(Error(opened.error()).within("the settings of registries"));
    Settings settings;
    settings.search.emplace_back(kDefaultRegistry);
    return settings;
  }
  TRY_ASSIGN(const std::string text, read_fd(opened->get(), kMostSettings));
  return parse_settings(text, path);
}

Result<std::vector<Reference>> candidates(const Settings& settings, std::string_view name) {
  std::vector<Reference> found;
  TRY_ASSIGN(Reference plain, parse_reference(name));
  if (names_registry(name)) return std::vector<Reference>{std::move(plain)};
  const std::string_view bare = name.substr(
      0, has_own_version(name)
             ? name.find_first_of(":@",
                                  name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/'))
             : name.size());
  if (const auto alias = settings.aliases.find(bare); alias != settings.aliases.end()) {
    Reference target = alias->second;
    if (has_own_version(name)) {
      target.tag = plain.tag;
      target.digest = plain.digest;
    }
    return std::vector<Reference>{std::move(target)};
  }
  for (const std::string& registry : settings.search) {
    TRY_ASSIGN(Reference candidate, parse_reference_at(registry, name));
    found.push_back(std::move(candidate));
  }
  return found;
}

}  // namespace bulkhead::storage
