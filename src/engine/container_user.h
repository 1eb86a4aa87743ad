// Whom the program runs as: --user, or the image's USER, made numeric.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// How many ids a container has: 0 to 65535.
inline constexpr std::uint32_t kContainerIds = 65'536;

// The content of the image's passwd or group file, when it is asked for.
using ReadUserFile = std::function<Result<std::optional<std::string>>(const char* name)>;

// "" (root), "UID", "UID:GID", "NAME", "NAME:GROUP" and mixtures. Digits are a number and never a
// name; a number beyond the container's ids is kInvalid and never wraps around. Without a group: the
// user's own, and those that list the user. `where` begins the error ("--user", "the image's user").
Result<oci::User> resolve_user(std::string_view text, std::string_view where,
                               const ReadUserFile& read);

// One group by name or number, as above.
Result<ContainerGid> resolve_group(std::string_view text, std::string_view where,
                                   const ReadUserFile& read);

}  // namespace bulkhead::engine
