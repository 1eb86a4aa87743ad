// The options of pull, push, login, logout and image outdated, for the commands and the completion.
#pragma once

#include <string>
#include <vector>

#include "cli/bulkhead/options.h"

namespace bulkhead::cli::engine {

struct RegistryOptions {
  bool quiet = false;
  bool all_tags = false;
  bool password_stdin = false;
  std::string platform;
  std::string settings;
  std::string username;
  std::string password;
  std::string format;
};

std::vector<Option> pull_options(RegistryOptions& options);
std::vector<Option> push_options(RegistryOptions& options);
std::vector<Option> login_options(RegistryOptions& options);
std::vector<Option> logout_options(RegistryOptions& options);
std::vector<Option> outdated_options(RegistryOptions& options);

}  // namespace bulkhead::cli::engine
