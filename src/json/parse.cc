#include "json/parse.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "base/text.h"
#include "json/pointer.h"

namespace bulkhead::json {
namespace {

constexpr std::string_view kFixHint = "correct the JSON text";

// The library's own words about a syntax error, without its prefix, safe for a terminal.
std::string complaint(std::string_view what) {
  const std::size_t at = what.find(": ");
  std::string out(at == std::string_view::npos ? what : what.substr(at + 2));
  constexpr std::size_t kLongest = 200;
  if (out.size() > kLongest) out.resize(kLongest);
  for (char& c : out) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return out;
}

// "line 3, column 7" of the byte that the library had read last.
std::string line_and_column(std::string_view text, std::size_t position) {
  const std::string_view before = text.substr(0, position == 0 ? 0 : position - 1);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t newline = before.rfind('\n');
  const std::size_t column =
      before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// Receives the library's events and builds the tree bottom-up: the children of an open array or
// object wait on a stack and are copied into the arena, side by side, when it is closed.
class Builder {
 public:
  Builder(std::string_view text, const Limits& limits) : text_(text), limits_(limits) {
    pending_.reserve(256);
  }

  Result<Document> finish() && {
    if (error_) return std::unexpected(std::move(*error_));
    return Document(std::move(arena_), root_);
  }

  // --- the library's event interface; false stops it ---
  bool null() { return add(Value::null()); }
  bool boolean(bool value) { return add(Value::boolean(value)); }
  bool number_integer(std::int64_t value) { return add(Value::integer(value)); }
  bool number_unsigned(std::uint64_t value) { return add(Value::natural(value)); }
  bool number_float(double, const std::string& text) {
    return add(Value::fraction(arena_.copy(text)));
  }
  bool string(std::string& text) { return add(Value::string(arena_.copy(text))); }
  bool binary(nlohmann::json::binary_t&) { return false; }  // no part of JSON texts
  bool start_object(std::size_t) { return open(true); }
  bool start_array(std::size_t) { return open(false); }
  bool key(std::string& text) {
    key_ = arena_.copy(text);
    return true;
  }
  bool end_object() {
    const Level level = levels_.back();
    const std::span<Member> members =
        close<Member>(level, [](Member& to, const Member& from) { to = from; });
    if (has_duplicate(members)) return false;
    return leave(level, Value::object(members));
  }
  bool end_array() {
    const Level level = levels_.back();
    const std::span<Value> items =
        close<Value>(level, [](Value& to, const Member& from) { to = from.value; });
    return leave(level, Value::array(items));
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) {
    return fail(line_and_column(text_, position) + ": " + complaint(error.what()),
                std::string(kFixHint));
  }

 private:
  struct Level {
    std::size_t first;     // of its children in pending_
    std::string_view key;  // its own key in the object around it
    bool object;
  };

  bool add(Value value) {
    if (++count_ > limits_.values) {
      return fail("the document holds more than " + std::to_string(limits_.values) + " values",
                  "no document of this kind is that large; look at what wrote it");
    }
    if (levels_.empty()) {
      root_ = value;
    } else {
      pending_.push_back({key_, value});
    }
    return true;
  }

  bool open(bool object) {
    if (levels_.size() >= limits_.depth) {
      return fail(pointer() + ": nested deeper than " + std::to_string(limits_.depth) + " levels",
                  "no document of this kind is that deep; look at what wrote it");
    }
    levels_.push_back({pending_.size(), key_, object});
    return true;
  }

  template <class Item, class Assign>
  std::span<Item> close(const Level& level, Assign assign) {
    const std::size_t count = pending_.size() - level.first;
    if (count == 0) return {};
    auto* const items = static_cast<Item*>(arena_.allocate(count * sizeof(Item), alignof(Item)));
    for (std::size_t i = 0; i < count; ++i) {
      assign(*new (items + i) Item(), pending_[level.first + i]);
    }
    return {items, count};
  }

  bool leave(const Level& level, Value value) {
    pending_.resize(level.first);
    levels_.pop_back();
    key_ = level.key;
    return add(value);
  }

  // Small objects by comparing all pairs, large ones by sorting: a hostile object of many keys must
  // not cost the square of its size.
  bool has_duplicate(std::span<const Member> members) {
    constexpr std::size_t kFewMembers = 12;
    if (members.size() <= kFewMembers) {
      for (std::size_t i = 1; i < members.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (members[i].key == members[j].key) return fail_duplicate(members[i].key);
        }
      }
      return false;
    }
    sorted_.clear();
    for (const Member& member : members) sorted_.push_back(member.key);
    std::sort(sorted_.begin(), sorted_.end());
    const auto twin = std::adjacent_find(sorted_.begin(), sorted_.end());
    return twin != sorted_.end() && fail_duplicate(*twin);
  }

  bool fail_duplicate(std::string_view key) {
    std::string where = pointer_of_levels();
    append_pointer_step(where, key);
    fail(where + ": the key stands twice in one object",
         "remove one of the two; programs disagree on which one counts");
    return true;
  }

  // Of the value that is being read.
  std::string pointer() const {
    std::string out = pointer_of_levels();
    if (!levels_.empty()) append_step(out, levels_.back(), key_, pending_.size());
    return out.empty() ? "the document" : out;
  }

  // Of the innermost open array or object.
  std::string pointer_of_levels() const {
    std::string out;
    for (std::size_t i = 1; i < levels_.size(); ++i) {
      append_step(out, levels_[i - 1], levels_[i].key, levels_[i].first);
    }
    return out;
  }

  static void append_step(std::string& out, const Level& parent, std::string_view key,
                          std::size_t next) {
    if (parent.object) {
      append_pointer_step(out, key);
    } else {
      append_pointer_step(out, next - parent.first);
    }
  }

  bool fail(std::string message, std::string hint) {
    if (!error_) error_.emplace(ErrorKind::kInvalid, std::move(message), std::move(hint));
    return false;
  }

  std::string_view text_;
  const Limits& limits_;
  Arena arena_;
  Value root_;
  std::vector<Member> pending_;
  std::vector<Level> levels_;
  std::vector<std::string_view> sorted_;
  std::string_view key_;
  std::size_t count_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<Document> parse(std::string_view text, const Limits& limits) {
  constexpr std::size_t kLargest = 0xFFFFFFFF;
  if (text.size() > std::min(limits.bytes, kLargest)) {
    return fail(ErrorKind::kInvalid,
                "the JSON text has " + std::to_string(text.size()) + " bytes; at most " +
                    std::to_string(std::min(limits.bytes, kLargest)) + " are read",
                "no document of this kind is that large; look at what wrote it");
  }
  // The library takes a NUL byte for the end of the text, and skips a byte order mark.
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {
    return fail(ErrorKind::kInvalid, line_and_column(text, at + 1) + ": a NUL byte",
                std::string(kFixHint));
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    return fail(ErrorKind::kInvalid, "line 1, column 1: a byte order mark",
                "save the text without one");
  }
  Builder builder(text, limits);
  // Whatever the library has to say comes through parse_error; strict: nothing after the value.
  nlohmann::json::sax_parse(text.data(), text.data() + text.size(), &builder,
                            nlohmann::json::input_format_t::json, true);
  return std::move(builder).finish();
}

}  // namespace bulkhead::json
