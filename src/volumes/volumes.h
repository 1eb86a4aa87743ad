// The volumes of a store:
//
//   volumes/<name>/volume.json   what it is (record.h)
//   volumes/<name>/_data         its content, with the ids that containers see: 0 is root
//   volumes/<name>/upper.ext4    in its place, of one with a size: a file system with _data in it
//   volumes/<name>/memory        in its place, of one in memory (memory.h)
//   volumes/.new-<random>        one that is being made
//   volumes/.gone-<random>       one that is being deleted
//   containers/<id>/volumes      the names of those that a container uses
//
// A name is taken and given up by one rename. Who begins to use volumes, and who takes them away, holds
// the lock of volumes/ for a moment; who fills or reads one holds the lock of its own directory. What a
// killed process leaves has a name with a dot and a lock that is free: the next one removes it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"
#include "volumes/record.h"

namespace bulkhead::volumes {

inline constexpr const char* kVolumes = "volumes";
inline constexpr const char* kData = "_data";
inline constexpr const char* kUses = "volumes";  // in a container's directory

std::string volume_path(std::string_view name);  // "volumes/<name>"

// Makes it, unless it is there. An existing one must be what is asked for (kExists), where anything is
// asked: options or labels. Whether it is new.
Result<bool> create(int store, const Volume& wanted);

// kNotFound.
Result<Volume> find(int store, std::string_view name);
// By name.
Result<std::vector<Volume>> list(int store);

// Writes down that the container (by id) uses the volumes, which are made where they are missing. They
// stay for as long as the container has a directory. What is anonymous among them is the container's own.
// The names of new ones.
Result<std::vector<std::string>> use(int store, std::string_view container,
                                     const std::vector<Volume>& wanted);
struct Use {
  std::string name;
  bool anonymous = false;
};
Result<std::vector<Use>> used_by(int store, std::string_view container);

// Containers by volume.
using Users = std::map<std::string, std::vector<std::string>, std::less<>>;
Result<Users> list_users(int store);

// kNotFound; kState when a container uses it, but for `but_for` (an id), or somebody fills or reads it.
Result<void> remove(int store, std::string_view name, std::string_view but_for = {});

// What killed processes have left. Done by create() and remove(), too.
Result<void> sweep(int store);

// Bytes on the disk.
Result<std::uint64_t> disk_bytes(int store, const Volume& volume);

}  // namespace bulkhead::volumes
