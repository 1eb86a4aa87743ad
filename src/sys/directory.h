// Reading a directory of our own.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead {

// All entries but "." and "..", in no order; none when there is no such directory. No symbolic link
// is followed.
Result<std::vector<std::string>> list_directory(int directory, const char* path);

}  // namespace bulkhead
