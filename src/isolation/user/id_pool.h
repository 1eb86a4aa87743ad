// Ranges of 65,536 host ids for containers with user namespaces of their own: no two containers
// share one, and no range is given away again while a file of its ids is left.
//
// An allocation is an empty file "FIRST-OWNER" in the pool's directory, made under a lock: there is
// nothing that a crash could leave half written. A loss of power may forget the last allocations,
// if it also forgets the container's own records, which are written later.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "isolation/user/subordinate.h"
#include "sys/fd.h"

namespace bulkhead::isolation {

inline constexpr std::uint32_t kIdsPerContainer = 65'536;

// 4094 ranges between the last that systemd gives to its containers (1879048191) and its range for
// foreign images (from 2147352576 on); below 2^31, beyond which some programs and file systems take
// an id for negative; and above what useradd writes to /etc/subuid by default (100000 to
// 600100000).
inline constexpr IdRange kDefaultIdPool{1'879'048'192, 4'094 * kIdsPerContainer};

// Who reads a configured pool: one line "FIRST:COUNT"; '#' begins a comment.
inline constexpr const char* kIdPoolFile = "/etc/bulkhead/id-pool";
// The default when there is no such file.
Result<IdRange> configured_id_pool(const char* path = kIdPoolFile);

// Refuses a pool that overlaps with ids of the system, with those of systemd, or that is too small.
Result<void> check_id_pool(const IdRange& pool);

struct IdAllocation {
  IdRange range;
  std::string owner;
};

// What must not be given away, read anew for every allocation.
struct IdPoolFiles {
  const char* subordinate_uids = "/etc/subuid";
  const char* subordinate_gids = "/etc/subgid";
  const char* uid_map = "/proc/self/uid_map";
  const char* gid_map = "/proc/self/gid_map";
};

class IdPool {
 public:
  // `directory` is made when it is missing; one pool has one directory.
  static Result<IdPool> open(const std::string& directory, const IdRange& pool,
                             const IdPoolFiles& files = {});

  // The lowest free range, which is the owner's (a container's id) until release; the owner's own
  // one when it has one already. Ranges that /etc/subuid or /etc/subgid give to somebody else than
  // "bulkhead", or that are not mapped in this process's user namespace, are skipped.
  Result<IdRange> allocate(std::string_view owner);

  // Makes `owner` a further owner of a range that is taken: it is free again when all have released it.
  Result<void> share(const IdRange& range, std::string_view owner);

  // Gives the owner's range back. `places` are directories in which the container could have left
  // files: they are searched, and a file that belongs to the range is an error that names it. Fine
  // when the owner has none.
  Result<void> release(std::string_view owner, std::span<const int> places);

  // All allocations, for finding those whose owner is gone.
  Result<std::vector<IdAllocation>> list() const;

 private:
  IdPool(Fd directory, const IdRange& pool, const IdPoolFiles& files)
      : directory_(std::move(directory)), pool_(pool), files_(files) {}
  Result<std::vector<IdRange>> not_ours() const;

  Fd directory_;
  IdRange pool_;
  IdPoolFiles files_;
};

// Whether a file in the tree belongs to the range, by its user or group: its path, or "" for none.
// A tree nested deeper than 200 directories is an error: nothing is known about it.
Result<std::string> find_file_of(int directory, const IdRange& range);

}  // namespace bulkhead::isolation
