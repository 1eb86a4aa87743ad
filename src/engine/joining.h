// Another container's namespaces, for --pid, --ipc and --userns container:NAME.
#pragma once

#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "engine/compose.h"
#include "engine/wish.h"
#include "isolation/request.h"
#include "storage/store.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// Everything is held by descriptor, taken while the container's first process was held by its own: no
// other process that gets its pid later can be meant.
struct Joined {
  JoinedNamespaces namespaces;
  std::vector<Fd> held;
  HostUid first_uid;    // of its range of ids
  bool own_ids = true;  // it has a user namespace
  std::vector<isolation::HandedMount> mounts;
};

// Also gives the wish the container's tenant, when it names none. kPermission: another tenant's, or
// one that does not share what is asked for.
Result<Joined> join_container(const storage::Store& store, const std::string& state_root,
                              Wish& wish);

}  // namespace bulkhead::engine
