// Errors as users see them: what kind, what happened, and what to do about it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace bulkhead {

// The few classes of failure that callers tell apart; everything else is text.
enum class ErrorKind {
  kUsage,            // the command line is wrong
  kInvalid,          // an input (config.json, a flag's value, a file) is malformed or contradictory
  kNotFound,         // no such container, file or image
  kExists,           // the name or id is taken
  kState,            // the container is in the wrong state for this operation
  kPermission,       // the kernel or the file system refused for lack of privilege
  kUnsupported,      // this kernel or build cannot do what was asked for
  kCommandNotFound,  // the container's command does not exist (engine exit code 127)
  kCommandNotExecutable,  // the container's command cannot be executed (engine exit code 126)
  kSystem,                // a system call failed for another reason
  kInternal,              // a bug in Bulkhead
};

// An error on its way to the user. `message` says what was being done and what went wrong, from the
// outermost context inwards ("mounting /proc: fsconfig: Operation not permitted"); `hint` says what
// to do and may be empty. Hostile strings are quoted by quoted() (text.h) before they get in here.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message, std::string hint = {})
      : kind_(kind), message_(std::move(message)), hint_(std::move(hint)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }

  // The same error with an outer context put before its message.
  Error within(std::string_view context) && {
    message_.insert(0, ": ").insert(0, context);
    return std::move(*this);
  }
  Error with_hint(std::string hint) && {
    hint_ = std::move(hint);
    return std::move(*this);
  }
  Error with_kind(ErrorKind kind) && {
    kind_ = kind;
    return std::move(*this);
  }

 private:
  ErrorKind kind_;
  std::string message_;
  std::string hint_;
};

}  // namespace bulkhead
