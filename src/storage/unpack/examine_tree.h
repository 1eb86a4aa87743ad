// Looking at a layer that has been unpacked: what TreeRecord says of it.
#pragma once

#include "base/result.h"
#include "storage/tree_record.h"

namespace bulkhead::storage {

enum class TreeContents {
  kIgnored,   // as it is recorded
  kIncluded,  // the files' bytes as well: to compare two trees of now
};

// Nobody writes to the tree. Reading the attributes that say what the
// layer hides (trusted.*) takes CAP_SYS_ADMIN.
Result<TreeRecord> examine_tree(int directory, TreeContents contents = TreeContents::kIgnored);

}  // namespace bulkhead::storage
