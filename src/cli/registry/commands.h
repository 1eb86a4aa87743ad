// The commands of bulkhead-registry, each given its words.
#pragma once

#include "base/result.h"
#include "cli/registry/words.h"
#include "storage/registry/client.h"
#include "storage/registry/credentials.h"
#include "storage/registry/settings.h"

namespace bulkhead::cli {

Result<void> pull_command(const RegistryWords& words);
Result<void> push_command(const RegistryWords& words);
Result<void> login_command(const RegistryWords& words);
Result<void> logout_command(const RegistryWords& words);
Result<void> outdated_command(const RegistryWords& words);

// What several of them begin with.
Result<storage::Settings> settings_for(const RegistryWords& words);
Result<storage::CredentialFile> credentials_for(const RegistryWords& words);

// "Retrying in 4 seconds: ..." on standard error.
void print_retry(const std::string& why, std::chrono::milliseconds wait);
void print_line(std::string_view text);        // to standard output
void print_error_line(std::string_view text);  // to standard error

}  // namespace bulkhead::cli
