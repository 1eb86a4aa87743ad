// Reads JSON objects into value types by their fields() (fields.h). The first error wins and ends
// the reading; field names that fields() does not know are collected.
#pragma once

#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "json/pointer.h"
#include "json/value.h"
#include "oci/enum_names.h"

namespace bulkhead::oci {

// What one decoding has to say, shared by its nested readers.
struct Decoding {
  std::optional<Error> error;
  std::vector<std::string> unknown_fields;

  bool failed() const { return error.has_value(); }
  void fail(const json::Place& place, std::string_view message, std::string_view hint);
  void fail_type(const json::Place& place, std::string_view expected, const json::Value& found);
  void note_unknown(const json::Place& place);
};

enum class Nul { kRefused, kKept };

// Each reads one value or fails the decoding.
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place, bool& out);
void read_text(Decoding& decoding, const json::Value& value, const json::Place& place, Nul nul,
               std::string& out);
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                NamespaceType& out);
std::int64_t read_signed(Decoding& decoding, const json::Value& value, const json::Place& place,
                         std::int64_t least, std::int64_t greatest);
std::uint64_t read_unsigned(Decoding& decoding, const json::Value& value, const json::Place& place,
                            std::uint64_t greatest);
// A key that becomes a C string.
bool check_key(Decoding& decoding, const json::Place& place, std::string_view key);

// Says whether fields() knows one name, without touching the object.
class NameQuery {
 public:
  explicit NameQuery(std::string_view name) : name_(name) {}
  bool known() const { return known_; }

  void required(std::string_view name, const auto&) { known_ |= name == name_; }
  void defaulted(std::string_view name, const auto&) { known_ |= name == name_; }
  void optional(std::string_view name, const auto&) { known_ |= name == name_; }
  void text(std::string_view name, const auto&) { known_ |= name == name_; }
  void wrapped(std::string_view outer, std::string_view, const auto&) { known_ |= outer == name_; }

 private:
  std::string_view name_;
  bool known_ = false;
};

template <class T>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place, T& out);
template <class T>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                std::vector<T>& out);
template <class T>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                std::map<std::string, T>& out);
template <class T>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                std::optional<T>& out) {
  read_value(decoding, value, place, out.emplace());
}
template <class Number, class Tag>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                Id<Number, Tag>& out) {
  Number number{};
  read_value(decoding, value, place, number);
  out = Id<Number, Tag>(number);
}
inline void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                       std::string& out) {
  read_text(decoding, value, place, Nul::kRefused, out);
}

class ObjectReader {
 public:
  ObjectReader(Decoding& decoding, const json::Value& object, const json::Place& place)
      : decoding_(decoding), members_(object.members()), place_(place) {}

  void required(std::string_view name, auto& field) {
    if (decoding_.failed()) return;
    if (const json::Value* const value = take(name)) {
      read_value(decoding_, *value, json::Place(place_, name), field);
    } else {
      decoding_.fail(json::Place(place_, name), "is required, but absent", "add the field");
    }
  }
  void defaulted(std::string_view name, auto& field) { optional(name, field); }
  void optional(std::string_view name, auto& field) {
    if (decoding_.failed()) return;
    if (const json::Value* const value = take(name)) {
      read_value(decoding_, *value, json::Place(place_, name), field);
    }
  }
  void text(std::string_view name, std::map<std::string, std::string>& field);
  void wrapped(std::string_view outer, std::string_view inner, auto& field);

  // Whether any member was not asked for.
  bool left_over() const { return taken_ != members_.size(); }

 private:
  // The member's value; null counts as absent, as writers in Go leave it for empty lists.
  const json::Value* take(std::string_view name) {
    // Writers mostly keep the specification's order, so the next member is the likeliest.
    for (std::size_t tries = 0; tries < members_.size(); ++tries) {
      if (next_ == members_.size()) next_ = 0;
      const json::Member& member = members_[next_++];
      if (member.key == name) {
        ++taken_;
        return member.value.is_null() ? nullptr : &member.value;
      }
    }
    return nullptr;
  }

  Decoding& decoding_;
  std::span<const json::Member> members_;
  const json::Place& place_;
  std::size_t next_ = 0;
  std::size_t taken_ = 0;
};

template <class T>
void read_object(Decoding& decoding, const json::Value& value, const json::Place& place, T& out) {
  if (value.type() != json::Type::kObject) {
    return decoding.fail_type(place, json::type_name(json::Type::kObject), value);
  }
  ObjectReader reader(decoding, value, place);
  fields(reader, out);
  if (decoding.failed() || !reader.left_over()) return;
  for (const json::Member& member : value.members()) {
    NameQuery query(member.key);
    fields(query, out);
    if (!query.known()) decoding.note_unknown(json::Place(place, member.key));
  }
}

void ObjectReader::wrapped(std::string_view outer, std::string_view inner, auto& field) {
  if (decoding_.failed()) return;
  const json::Value* const value = take(outer);
  if (value == nullptr) return;
  const json::Place place(place_, outer);
  if (value->type() != json::Type::kObject) {
    return decoding_.fail_type(place, json::type_name(json::Type::kObject), *value);
  }
  ObjectReader reader(decoding_, *value, place);
  reader.required(inner, field);
  if (decoding_.failed() || !reader.left_over()) return;
  for (const json::Member& member : value->members()) {
    if (member.key != inner) decoding_.note_unknown(json::Place(place, member.key));
  }
}

template <class T>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place, T& out) {
  if constexpr (std::signed_integral<T>) {
    out = static_cast<T>(read_signed(decoding, value, place, std::numeric_limits<T>::min(),
                                     std::numeric_limits<T>::max()));
  } else if constexpr (std::unsigned_integral<T>) {
    out = static_cast<T>(read_unsigned(decoding, value, place, std::numeric_limits<T>::max()));
  } else {
    read_object(decoding, value, place, out);
  }
}

template <class T>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                std::vector<T>& out) {
  if (value.type() != json::Type::kArray) {
    return decoding.fail_type(place, json::type_name(json::Type::kArray), value);
  }
  const auto items = value.items();
  out.clear();
  out.resize(items.size());
  for (std::size_t i = 0; i < items.size() && !decoding.failed(); ++i) {
    read_value(decoding, items[i], json::Place(place, i), out[i]);
  }
}

template <class T>
void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                std::map<std::string, T>& out) {
  if (value.type() != json::Type::kObject) {
    return decoding.fail_type(place, json::type_name(json::Type::kObject), value);
  }
  for (const json::Member& member : value.members()) {
    const json::Place member_place(place, member.key);
    if (decoding.failed() || !check_key(decoding, member_place, member.key)) return;
    read_value(decoding, member.value, member_place, out[std::string(member.key)]);
  }
}

}  // namespace bulkhead::oci
