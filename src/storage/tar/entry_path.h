// A path as a tar entry names it, taken apart.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

// Neither component is "", "." or "..". `parent` is relative and empty for the top directory; `name`
// is empty for the top directory itself.
struct EntryPath {
  std::string parent;
  std::string name;
  std::string whole() const { return parent.empty() ? name : parent + '/' + name; }
};

// Leading slashes, "./" and doubled slashes mean nothing. kInvalid for "..", for names over 255 bytes
// and for paths over `limit` bytes.
Result<EntryPath> parse_entry_path(std::string_view text, std::size_t limit);

// What an image-spec layer means by a name that begins with ".wh.".
enum class Whiteout {
  kNone,      // an ordinary name
  kEntry,     // `hidden` is removed from the layers below
  kOpaque,    // the directory hides everything below it
  kReserved,  // another ".wh..wh." name: bookkeeping of old storage drivers, of no meaning here
};
struct WhiteoutName {
  Whiteout kind = Whiteout::kNone;
  std::string_view hidden;
};
// kInvalid for ".wh." alone and for ".wh.." (which would hide "."), ".wh..." ("..").
Result<WhiteoutName> parse_whiteout(std::string_view name);

}  // namespace bulkhead::storage
