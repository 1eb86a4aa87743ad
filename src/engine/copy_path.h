// The paths of `cp` and what they mean together: Docker's rules. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::engine {

// "CONTAINER:PATH", or a path of this host: what begins with "/" or "." is one whatever colons it has.
struct CopyPlace {
  std::optional<std::string> container;
  std::string path;
};
CopyPlace read_copy_place(std::string_view word);

// What a path says beside which file it names.
struct CopyPath {
  std::string path;    // without slashes and "/." at its end
  std::string parent;  // the directory that holds the last component
  std::string name;    // the last component; "." for the content of a directory ("dir/.", "/")
  // It ends in "/" or "/.": a directory is meant, and a symbolic link at its end followed.
  bool must_be_directory = false;
};
// Of a container: from its root, whatever it begins with, and cleaned of "..".
CopyPath read_container_path(std::string_view path);
// Of this host: kept as it is, but that the name of "." and of what ends in ".." is looked up.
Result<CopyPath> read_local_path(std::string_view path);

// What stands at a destination.
struct CopyTarget {
  bool exists = false;
  bool is_directory = false;
};

struct CopyDecision {
  bool into_parent = false;  // the archive is unpacked where the destination is to be, or is
  std::string name;          // what its entries begin with
};

// kState, in Docker's words, where the two do not fit.
Result<CopyDecision> decide_copy(const CopyPath& source, bool source_is_directory,
                                 const CopyPath& destination, const CopyTarget& target);

}  // namespace bulkhead::engine
