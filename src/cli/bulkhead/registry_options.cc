#include "cli/bulkhead/registry_options.h"

namespace bulkhead::cli::engine {
namespace {

Option settings_option(RegistryOptions& options) {
  return {"registries-conf",
          0,
          &options.settings,
          "FILE",
          "settings of registries (/etc/bulkhead/registries.toml)",
          ValueKind::kFile};
}

}  // namespace

std::vector<Option> pull_options(RegistryOptions& options) {
  return {
      {"all-tags", 'a', &options.all_tags, "", "all tags of the repository"},
      {"platform", 0, &options.platform, "PLATFORM", "such as linux/arm64 or linux/arm/v7"},
      {"quiet", 'q', &options.quiet, "", "print nothing but the name"},
      settings_option(options),
  };
}

std::vector<Option> push_options(RegistryOptions& options) {
  return {
      {"all-tags", 'a', &options.all_tags, "", "all tags of the repository on this host"},
      {"quiet", 'q', &options.quiet, "", "print nothing but the name"},
      settings_option(options),
  };
}

std::vector<Option> login_options(RegistryOptions& options) {
  return {
      {"username", 'u', &options.username, "NAME", "who we are to the registry"},
      {"password", 'p', &options.password, "PASSWORD", "seen by other users: better not"},
      {"password-stdin", 0, &options.password_stdin, "", "read the password from standard input"},
      settings_option(options),
  };
}

std::vector<Option> logout_options(RegistryOptions& options) { return {settings_option(options)}; }

std::vector<Option> outdated_options(RegistryOptions& options) {
  return {
      {"format", 0, &options.format, "FORMAT", "table (default) or json"},
      settings_option(options),
  };
}

}  // namespace bulkhead::cli::engine
