// What a registry answers to a request that it wants a proof for: the header WWW-Authenticate
// (RFC 9110 section 11), with the parameters of the token protocol.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::storage {

struct Challenge {
  enum class Scheme { kBasic, kBearer } scheme = Scheme::kBasic;
  std::string realm;    // of Bearer: the URL of the token server
  std::string service;  // of Bearer
  std::string scope;    // of Bearer
  std::string error;    // "insufficient_scope", "invalid_token"
};

// All challenges in one header's value that are of a known scheme and well formed; of the others
// nothing is taken, nor of anything after the first byte that is no challenge.
std::vector<Challenge> parse_challenges(std::string_view header);

// The one to answer: Bearer where there is one, as clients of registries do.
std::optional<Challenge> choose_challenge(const std::vector<Challenge>& challenges);

}  // namespace bulkhead::storage
