// The reader beside nlohmann-json, which is the tests' reference: what one accepts the other must
// accept, and read the same out of it, wherever both have the same rules.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "json/parse.h"

namespace bulkhead::json {

inline bool same(const Value& ours, const nlohmann::json& reference) {
  using Reference = nlohmann::json::value_t;
  switch (ours.type()) {
    case Type::kNull: return reference.is_null();
    case Type::kBoolean: return reference.is_boolean() && reference == ours.as_boolean();
    case Type::kFraction: return reference.type() == Reference::number_float;
    case Type::kString: return reference.is_string() && reference == ours.as_string();
    case Type::kInteger:
      if (reference.type() == Reference::number_unsigned) {
        return ours.as_uint64() == reference.get<std::uint64_t>();
      }
      return reference.type() == Reference::number_integer &&
             ours.as_int64() == reference.get<std::int64_t>();
    case Type::kArray: {
      if (!reference.is_array() || reference.size() != ours.items().size()) return false;
      for (std::size_t i = 0; i < reference.size(); ++i) {
        if (!same(ours.items()[i], reference[i])) return false;
      }
      return true;
    }
    case Type::kObject: {
      if (!reference.is_object() || reference.size() != ours.members().size()) return false;
      for (const Member& member : ours.members()) {
        const auto found = reference.find(std::string(member.key));
        if (found == reference.end() || !same(member.value, *found)) return false;
      }
      return true;
    }
  }
  return false;
}

// Rules that the reference does not have: it takes a NUL byte for the end and skips a byte order
// mark, keeps the last of two equal keys, and knows no limits.
inline bool refused_by_own_rules(std::string_view text, const Error& error) {
  if (text.find('\0') != std::string_view::npos || text.starts_with("\xEF\xBB\xBF")) return true;
  return error.message().find("stands twice") != std::string::npos ||
         error.message().find("nested deeper") != std::string::npos ||
         error.message().find("holds more than") != std::string::npos;
}

// An exponent that no double holds, which the reference refuses.
inline bool has_huge_number(const Value& value) {
  if (value.type() == Type::kFraction) return true;
  for (const Value& item : value.items()) {
    if (has_huge_number(item)) return true;
  }
  for (const Member& member : value.members()) {
    if (has_huge_number(member.value)) return true;
  }
  return false;
}

inline bool agrees_with_reference(std::string_view text) {
  const auto ours = parse(text);
  if (!ours && refused_by_own_rules(text, ours.error())) return true;
  const auto reference = nlohmann::json::parse(text, nullptr, false);
  if (!ours) return reference.is_discarded();
  if (reference.is_discarded()) return has_huge_number(ours->root());
  return same(ours->root(), reference);
}

}  // namespace bulkhead::json
