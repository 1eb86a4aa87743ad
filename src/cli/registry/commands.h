// The commands of bulkhead-registry, each given its words.
#pragma once

#include "base/result.h"
#include "cli/registry/words.h"
#include "storage/reference.h"
#include "storage/registry/client.h"
#include "storage/registry/credentials.h"
#include "storage/registry/settings.h"

namespace bulkhead::cli {

Result<int> pull_command(const RegistryWords& words);
Result<int> push_command(const RegistryWords& words);
Result<int> login_command(const RegistryWords& words);
Result<int> logout_command(const RegistryWords& words);
Result<int> outdated_command(const RegistryWords& words);

inline constexpr int kFailure = 1;
inline constexpr int kOutdated = 10;  // of image outdated: something is

// What several of them begin with.
Result<storage::Settings> settings_for(const RegistryWords& words);
Result<storage::CredentialFile> credentials_for(const RegistryWords& words);

// In the journal of events at that directory.
void record_image_event(const std::string& journal, const storage::Reference& image,
                        std::string action);

// "Retrying in 4 seconds: ..." on standard error.
void print_retry(const std::string& why, std::chrono::milliseconds wait);
void print_line(std::string_view text);        // to standard output
void print_error_line(std::string_view text);  // to standard error

}  // namespace bulkhead::cli
