// Builds the tree of values bottom-up while a text is read: the children of an open array or object
// wait on a stack and are copied into the arena, side by side, when it is closed. Enforces what is
// not a matter of syntax: limits, and distinct keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "json/parse.h"
#include "json/value.h"

namespace bulkhead::json {

class TreeBuilder {
 public:
  explicit TreeBuilder(const Limits& limits);

  Arena& arena() { return arena_; }
  bool is_open() const { return !levels_.empty(); }
  bool in_object() const { return levels_.back().object; }

  // Each is false when a rule is broken; error() then says which.
  bool add(Value value);
  bool open_object() { return open(true); }
  bool open_array() { return open(false); }
  bool close();                                     // the innermost one that is open
  void key(std::string_view name) { key_ = name; }  // of the next value

  std::optional<Error>& error() { return error_; }
  Document finish() && { return Document(std::move(arena_), root_); }

 private:
  struct Level {
    std::size_t first;     // of its children in pending_
    std::string_view key;  // its own key in the object around it
    bool object;
  };

  bool open(bool object);
  std::span<const Member> close_members(const Level& level);
  std::span<const Value> close_items(const Level& level);
  std::string_view twin_in(std::span<const Member> members);
  bool fail_duplicate(std::string_view key);
  bool fail(std::string message, std::string hint);
  std::string pointer_of_levels() const;
  std::string pointer_of_next() const;

  const Limits& limits_;
  Arena arena_;
  Value root_;
  std::vector<Member> pending_;
  std::vector<Level> levels_;
  std::vector<std::string_view> sorted_;  // kept for its memory
  std::string_view key_;
  std::size_t count_ = 0;
  std::optional<Error> error_;
};

}  // namespace bulkhead::json
