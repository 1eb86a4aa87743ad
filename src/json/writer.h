// Writes JSON into a string. The caller nests begin and end correctly; commas, colons, escapes and
// indentation are the writer's affair. Invalid UTF-8 is replaced by U+FFFD, so that the output is
// always valid JSON.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "json/value.h"

namespace bulkhead::json {

enum class Style { kCompact, kIndented };

class Writer {
 public:
  // kIndented: two spaces a level, no newline at the end.
  explicit Writer(std::string& out, Style style = Style::kCompact) : out_(out), style_(style) {}

  void begin_object() { begin('{'); }
  void end_object() { end('}'); }
  void begin_array() { begin('['); }
  void end_array() { end(']'); }
  void key(std::string_view name);

  void null() { raw("null"); }
  void string(std::string_view text);
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void integer(std::signed_integral auto value) { write_signed(value); }
  void integer(std::unsigned_integral auto value) { write_unsigned(value); }
  // A whole value as it was read.
  void value(const Value& value);

  // key() and a value in one.
  void member(std::string_view name, std::string_view text) { key(name), string(text); }
  void member(std::string_view name, const char* text) { key(name), string(text); }
  void member(std::string_view name, bool value) { key(name), boolean(value); }
  void member(std::string_view name, std::integral auto value) { key(name), integer(value); }

 private:
  void begin(char bracket);
  void end(char bracket);
  void before_value();
  void new_line();
  void raw(std::string_view text);
  void write_signed(std::int64_t value);
  void write_unsigned(std::uint64_t value);

  std::string& out_;
  Style style_;
  std::size_t depth_ = 0;
  bool first_ = true;  // nothing has been written yet on this level
  bool after_key_ = false;
};

// `text` as a JSON string with its quotation marks.
void append_string(std::string& out, std::string_view text);

}  // namespace bulkhead::json
