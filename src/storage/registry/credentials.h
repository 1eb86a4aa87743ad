// Who we are to a registry: Docker's file ~/.docker/config.json, and the credential helpers that it
// names. What others wrote into the file stays in it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

struct Credentials {
  std::string user;
  std::string password;
  std::string identity_token;  // in place of the password

  bool empty() const { return user.empty() && identity_token.empty(); }
};

// "https://index.docker.io/v1/" for docker.io, which has always been Docker's key for it; else the
// registry.
std::string credentials_key(std::string_view registry);

// Runs docker-credential-NAME with a verb ("get", "store", "erase") and what it reads; what it wrote.
using CredentialHelper = std::function<Result<std::string>(
    const std::string& name, const std::string& verb, const std::string& input)>;
Result<std::string> run_credential_helper(const std::string& name, const std::string& verb,
                                          const std::string& input);

class CredentialFile {
 public:
  // $DOCKER_CONFIG/config.json or ~/.docker/config.json; kState when neither is known.
  static Result<std::string> default_path();

  explicit CredentialFile(std::string path, CredentialHelper helper = run_credential_helper)
      : path_(std::move(path)), helper_(std::move(helper)) {}

  // Nothing when there are none: anonymous access. A file or a helper that cannot be read is an
  // error: to be nobody in silence would only show as a refusal of the registry's.
  Result<std::optional<Credentials>> find(std::string_view registry) const;

  // Where the credentials went, for people.
  enum class Place { kFile, kHelper };
  Result<Place> store(std::string_view registry, const Credentials& credentials) const;
  // False: there were none.
  Result<bool> erase(std::string_view registry) const;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  CredentialHelper helper_;
};

}  // namespace bulkhead::storage
