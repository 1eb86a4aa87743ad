#include "engine/copy_path.h"

#include <limits.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "isolation/mounts/place.h"
#include "sys/error.h"

namespace bulkhead::engine {
namespace {

// Takes "/" and "/." off the end; whether there was any.
bool take_ends(std::string_view& path, bool& has_dot) {
  bool taken = false;
  for (;;) {
    if (path.size() > 1 && path.ends_with('/')) {
      path.remove_suffix(1);
    } else if (path.size() > 1 && path.ends_with("/.")) {
      path.remove_suffix(path.size() == 2 ? 1 : 2);
      // What stands behind the dot says no more.
      if (!taken) has_dot = true;
    } else {
      return taken;
    }
    taken = true;
  }
}

void take_apart(CopyPath& path, bool has_dot) {
  const std::size_t slash = path.path.rfind('/');
  path.name = slash == std::string::npos ? path.path : path.path.substr(slash + 1);
  path.parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.path.substr(0, slash);
  if (has_dot || path.path == "/") path.name = ".";
}

}  // namespace

CopyPlace read_copy_place(std::string_view word) {
  const std::size_t colon = word.find(':');
  if (word.starts_with('/') || word.starts_with('.') || colon == std::string_view::npos)
    return {std::nullopt, std::string(word)};
  return {std::string(word.substr(0, colon)), std::string(word.substr(colon + 1))};
}

CopyPath read_container_path(std::string_view path) {
  CopyPath out;
  bool has_dot = path == ".";
  std::string_view rest = path;
  out.must_be_directory = take_ends(rest, has_dot) || path == "/" || has_dot;
  out.path = isolation::clean_path("/" + std::string(rest));
  take_apart(out, has_dot);
  return out;
}

Result<CopyPath> read_local_path(std::string_view path) {
  CopyPath out;
  bool has_dot = path == ".";
  std::string_view rest = path;
  out.must_be_directory = take_ends(rest, has_dot) || path == "/" || has_dot;
  out.path = rest;
  if (rest == "." || rest == ".." || rest.ends_with("/..")) {
    char resolved[PATH_MAX];
    if (::realpath(out.path.c_str(), resolved) == nullptr) {
      const SysError error{"open", errno};
      return std::unexpected(Error(error).within(quoted(path)));
    }
    out.path = resolved;
  }
  take_apart(out, has_dot);
  return out;
}

Result<CopyDecision> decide_copy(const CopyPath& source, bool source_is_directory,
                                 const CopyPath& destination, const CopyTarget& target) {
  if (target.exists && target.is_directory) return CopyDecision{false, source.name};
  if (target.exists && source_is_directory)
    return fail(
        ErrorKind::kState,
        "cannot copy directory " + quoted(source.path) + " to the file " + quoted(destination.path),
        "name a directory, or what is not there yet");
  if (destination.must_be_directory && (target.exists || !source_is_directory))
    return fail(ErrorKind::kState,
                target.exists ? quoted(destination.path) + " is not a directory"
                              : "no such directory: " + quoted(destination.path),
                "make it first, or leave the slash at the end out");
  return CopyDecision{true, destination.name};
}

}  // namespace bulkhead::engine
