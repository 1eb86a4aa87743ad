// Docker's config.json as text: looking something up in it, and the same text with an entry more or
// less. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/registry/credentials.h"

namespace bulkhead::storage {

// The helper that keeps the credentials of `registry`; empty: the file itself does.
Result<std::string> helper_in(std::string_view config, std::string_view registry);

Result<std::optional<Credentials>> credentials_in(std::string_view config,
                                                  std::string_view registry);

// Everything else in the text stays as it is, to the byte. Empty credentials: the entry alone, as
// Docker leaves it for those that a helper keeps.
Result<std::string> with_credentials(std::string_view config, std::string_view registry,
                                     const Credentials& credentials);
// Nothing when there is no entry.
Result<std::optional<std::string>> without_credentials(std::string_view config,
                                                       std::string_view registry);

// What a helper writes for "get", and reads for "store".
Result<Credentials> decode_helper_answer(std::string_view json);
std::string encode_for_helper(std::string_view key, const Credentials& credentials);

}  // namespace bulkhead::storage
