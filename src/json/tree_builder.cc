#include "json/tree_builder.h"

#include <algorithm>
#include <new>

#include "json/pointer.h"

namespace bulkhead::json {

namespace {

constexpr std::size_t kFewMembers = 12;
constexpr const char* kSizeHint = "no document of this kind is that large; look at what wrote it";

}  // namespace

TreeBuilder::TreeBuilder(const Limits& limits) : limits_(limits) {
  pending_.reserve(1024);
  levels_.reserve(16);
}

bool TreeBuilder::add(Value value) {
  if (++count_ > limits_.values) {
    return fail("the document holds more than " + std::to_string(limits_.values) + " values",
                kSizeHint);
  }
  if (levels_.empty()) {
    root_ = value;
  } else {
    pending_.push_back({key_, value});
  }
  return true;
}

bool TreeBuilder::open(bool object) {
  if (levels_.size() >= limits_.depth) {
    return fail(
        pointer_of_next() + ": nested deeper than " + std::to_string(limits_.depth) + " levels",
        kSizeHint);
  }
  levels_.push_back({pending_.size(), key_, object});
  return true;
}

bool TreeBuilder::close() {
  const Level level = levels_.back();
  Value value;
  if (level.object) {
    const auto members = close_members(level);
    if (const std::string_view twin = twin_in(members); twin.data() != nullptr) {
      return fail_duplicate(twin);
    }
    value = Value::object(members);
  } else {
    value = Value::array(close_items(level));
  }
  pending_.resize(level.first);
  levels_.pop_back();
  key_ = level.key;
  return add(value);
}

std::span<const Member> TreeBuilder::close_members(const Level& level) {
  const std::span<const Member> from = std::span(pending_).subspan(level.first);
  if (from.empty()) return {};
  auto* const to =
      static_cast<Member*>(arena_.allocate(from.size() * sizeof(Member), alignof(Member)));
  std::uninitialized_copy(from.begin(), from.end(), to);
  return {to, from.size()};
}

std::span<const Value> TreeBuilder::close_items(const Level& level) {
  const std::span<const Member> from = std::span(pending_).subspan(level.first);
  if (from.empty()) return {};
  auto* const to =
      static_cast<Value*>(arena_.allocate(from.size() * sizeof(Value), alignof(Value)));
  for (std::size_t i = 0; i < from.size(); ++i) new (to + i) Value(from[i].value);
  return {to, from.size()};
}

// A key that stands twice; a view without data when there is none. Small objects by comparing all
// pairs, large ones by sorting: a hostile object of many keys must not cost the square of its size.
std::string_view TreeBuilder::twin_in(std::span<const Member> members) {
  if (members.size() <= kFewMembers) {
    for (std::size_t i = 1; i < members.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (members[i].key == members[j].key) return members[i].key;
      }
    }
    return {};
  }
  sorted_.clear();
  for (const Member& member : members) sorted_.push_back(member.key);
  std::sort(sorted_.begin(), sorted_.end());
  const auto twin = std::adjacent_find(sorted_.begin(), sorted_.end());
  return twin == sorted_.end() ? std::string_view() : *twin;
}

bool TreeBuilder::fail_duplicate(std::string_view key) {
  std::string where = pointer_of_levels();
  append_pointer_step(where, key);
  return fail(where + ": the key stands twice in one object",
              "remove one of the two; programs disagree on which one counts");
}

bool TreeBuilder::fail(std::string message, std::string hint) {
  if (!error_) error_.emplace(ErrorKind::kInvalid, std::move(message), std::move(hint));
  return false;
}

// Of the innermost open array or object.
std::string TreeBuilder::pointer_of_levels() const {
  std::string out;
  for (std::size_t i = 1; i < levels_.size(); ++i) {
    const Level& parent = levels_[i - 1];
    if (parent.object) {
      append_pointer_step(out, levels_[i].key);
    } else {
      append_pointer_step(out, levels_[i].first - parent.first);
    }
  }
  return out;
}

// Of the value that comes next.
std::string TreeBuilder::pointer_of_next() const {
  std::string out = pointer_of_levels();
  if (levels_.empty()) return "the document";
  if (levels_.back().object) {
    append_pointer_step(out, key_);
  } else {
    append_pointer_step(out, pending_.size() - levels_.back().first);
  }
  return out;
}

}  // namespace bulkhead::json
