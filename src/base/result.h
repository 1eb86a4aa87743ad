// Result<T>: a value or an Error. No exception crosses a folder's border.
#pragma once

#include <expected>
#include <utility>

#include "base/error.h"

namespace bulkhead {

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint = {}) {
  return std::unexpected(Error(kind, std::move(message), std::move(hint)));
}

}  // namespace bulkhead

// Statement macros only: a statement *expression* inside a braced initialiser makes g++ 12 forget
// to destroy the members that were built before it (a leaked descriptor or mount).
#define BULKHEAD_CONCAT_INNER(a, b) a##b
#define BULKHEAD_CONCAT(a, b) BULKHEAD_CONCAT_INNER(a, b)

// TRY(expression): returns the error of a Result or SysResult from the enclosing function.
#define TRY(...)                                             \
  do {                                                       \
    if (auto try_result = (__VA_ARGS__); !try_result)        \
      return std::unexpected(std::move(try_result).error()); \
  } while (false)

// TRY_ASSIGN(declaration or variable, expression): the value, or returns the error.
#define TRY_ASSIGN(target, ...) \
  TRY_ASSIGN_INNER(BULKHEAD_CONCAT(try_assign_, __LINE__), target, __VA_ARGS__)
#define TRY_ASSIGN_INNER(name, target, ...)                   \
  auto name = (__VA_ARGS__);                                  \
  if (!name) return std::unexpected(std::move(name).error()); \
  target = std::move(*name)

// TRY_WITHIN("context", expression): as TRY for a Result, with an outer context added.
#define TRY_WITHIN(context, ...)                                             \
  do {                                                                       \
    if (auto try_result = (__VA_ARGS__); !try_result)                        \
      return std::unexpected(std::move(try_result).error().within(context)); \
  } while (false)
