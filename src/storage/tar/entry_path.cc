#include "storage/tar/entry_path.h"

#include "base/text.h"

namespace bulkhead::storage {

Result<EntryPath> parse_entry_path(std::string_view text, std::size_t limit) {
  if (text.size() > limit)
    return fail(ErrorKind::kInvalid, "the archive has a path of " + std::to_string(text.size()) +
                                         " bytes: " + quoted(text, 64));
  EntryPath path;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view component = next_field(rest, '/');
    if (component.empty() || component == ".") continue;
    if (component == "..")
      return fail(ErrorKind::kInvalid,
                  "the archive names a path with \"..\" in it: " + quoted(text),
                  "one that tries to write outside of itself is not to be trusted");
    if (component.size() > 255)
      return fail(ErrorKind::kInvalid,
                  "the archive has a name of more than 255 bytes: " + quoted(component, 64));
    if (!path.name.empty()) {
      if (!path.parent.empty()) path.parent += '/';
      path.parent += path.name;
    }
    path.name = component;
  }
  return path;
}

Result<WhiteoutName> parse_whiteout(std::string_view name) {
  constexpr std::string_view kPrefix = ".wh.";
  if (!name.starts_with(kPrefix)) return WhiteoutName{};
  if (name == ".wh..wh..opq") return WhiteoutName{Whiteout::kOpaque, {}};
  if (name.starts_with(".wh..wh.")) return WhiteoutName{Whiteout::kReserved, {}};
  const std::string_view hidden = name.substr(kPrefix.size());
  if (hidden.empty() || hidden == "." || hidden == "..")
    return fail(ErrorKind::kInvalid,
                "the archive has a whiteout that hides nothing: " + quoted(name));
  return WhiteoutName{Whiteout::kEntry, hidden};
}

}  // namespace bulkhead::storage
