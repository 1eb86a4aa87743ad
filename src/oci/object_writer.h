// Writes value types as JSON objects by their fields() (fields.h).
#pragma once

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "json/writer.h"
#include "oci/enum_names.h"

namespace bulkhead::oci {

// What optional() leaves out.
inline bool is_empty(const std::string& text) { return text.empty(); }
template <class T>
bool is_empty(const std::vector<T>& list) {
  return list.empty();
}
template <class K, class T>
bool is_empty(const std::map<K, T>& map) {
  return map.empty();
}
template <class T>
bool is_empty(const std::optional<T>& field) {
  return !field;
}
inline bool is_empty(const std::integral auto& number) { return number == 0; }

template <class T>
void write_value(json::Writer& writer, const T& object);
template <class T>
void write_value(json::Writer& writer, const std::optional<T>& field);
template <class T>
void write_value(json::Writer& writer, const std::vector<T>& list);
template <class T>
void write_value(json::Writer& writer, const std::map<std::string, T>& map);
inline void write_value(json::Writer& writer, const std::string& text) { writer.string(text); }
inline void write_value(json::Writer& writer, const bool& value) { writer.boolean(value); }
inline void write_value(json::Writer& writer, const std::integral auto& number) {
  writer.integer(number);
}
inline void write_value(json::Writer& writer, const NamespaceType& type) {
  writer.string(name_of(type));
}
template <class Number, class Tag>
void write_value(json::Writer& writer, const Id<Number, Tag>& id) {
  writer.integer(id.value());
}
template <class T>
void write_value(json::Writer& writer, const std::optional<T>& field) {
  if (field) {
    write_value(writer, *field);
  } else {
    writer.null();
  }
}
template <class T>
void write_value(json::Writer& writer, const std::vector<T>& list) {
  writer.begin_array();
  for (const T& item : list) write_value(writer, item);
  writer.end_array();
}
template <class T>
void write_value(json::Writer& writer, const std::map<std::string, T>& map) {
  writer.begin_object();
  for (const auto& [key, item] : map) {
    writer.key(key);
    write_value(writer, item);
  }
  writer.end_object();
}

class ObjectWriter {
 public:
  explicit ObjectWriter(json::Writer& writer) : writer_(writer) {}

  void required(std::string_view name, const auto& field) {
    writer_.key(name);
    write_value(writer_, field);
  }
  void defaulted(std::string_view name, const auto& field) { required(name, field); }
  void optional(std::string_view name, const auto& field) {
    if (!is_empty(field)) required(name, field);
  }
  void text(std::string_view name, const auto& field) { optional(name, field); }
  void wrapped(std::string_view outer, std::string_view inner, const auto& field) {
    if (is_empty(field)) return;
    writer_.key(outer);
    writer_.begin_object();
    required(inner, field);
    writer_.end_object();
  }

 private:
  json::Writer& writer_;
};

template <class T>
void write_value(json::Writer& writer, const T& object) {
  writer.begin_object();
  ObjectWriter visit(writer);
  fields(visit, object);
  writer.end_object();
}

}  // namespace bulkhead::oci
