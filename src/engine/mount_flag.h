// --mount: one mount as "key=value" fields, as Docker and Podman have it. Pure.
//
//   type=bind,source=PATH,target=PATH[,readonly][,bind-propagation=P][,bind-recursive=R][,idmap=B]
//   type=tmpfs,target=PATH[,readonly][,tmpfs-size=N][,tmpfs-mode=M]
//   type=volume[,source=NAME],target=PATH[,readonly][,idmap][,volume-nocopy][,volume-subpath=PATH]
//       [,volume-label=NAME=VALUE][,volume-opt=NAME=VALUE][,volume-driver=local]
#pragma once

#include <string_view>
#include <variant>

#include "base/result.h"
#include "engine/wish.h"

namespace bulkhead::engine {

// Fields as in CSV: one in double quotes may hold commas, and "" for a quotation mark.
Result<std::vector<std::string>> split_fields(std::string_view flag, std::string_view text);

Result<std::variant<Volume, TmpfsMount>> parse_mount(std::string_view text);

}  // namespace bulkhead::engine
