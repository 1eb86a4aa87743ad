// Containers as the engine keeps them, beneath the store:
//
//   containers/<id>/upper, work     what the container wrote
//   containers/<id>/container.json, life.json, config.json
//                                   what it is (container_record.h); of a container in the foreground
//                                   only once it has ended and is kept
//   containers/<id>/container.log   what it said (supervise/log_file.h)
//   names/<name>                    a symbolic link whose text is the id
//
// Whoever stands by a container (its monitor, or `bulkhead run` in the foreground) holds a lock on
// containers/<id>, so that everybody can tell it from one that was left alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// 64 hexadecimal digits from the kernel's random source.
Result<std::string> new_id();

std::string container_path(std::string_view id);  // "containers/<id>"

// The container's directory, not locked.
Result<Fd> open_container(int store, std::string_view id);

// Locks the container's directory. kState when somebody stands by it.
Result<Fd> hold_container(int store, std::string_view id);

// The same, waiting until nobody stands by it; nothing when the container is gone by then.
Result<std::optional<Fd>> wait_for_container(int store, std::string_view id);

// Takes the name for the id, in one step; kExists when another container has it.
Result<void> take_name(int store, std::string_view name, std::string_view id);
// Fine when the name is not there, or names another id by now.
Result<void> release_name(int store, std::string_view name, std::string_view id);

// The full id of a name, an id, or an unambiguous beginning of one. kNotFound.
Result<std::string> find_container(int store, std::string_view name_or_id);

// All ids that have a directory, sorted.
Result<std::vector<std::string>> list_containers(int store);
// All names, as (name, id).
Result<std::vector<std::pair<std::string, std::string>>> list_names(int store);

}  // namespace bulkhead::engine
