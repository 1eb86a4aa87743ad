#include "json/writer.h"

#include <charconv>

#include "base/text.h"

namespace bulkhead::json {
namespace {

void append_escape(std::string& out, char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default:
      out += "\\u00";
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
  }
}

// Bytes that stand in a JSON string as they are, and need no look at their neighbours.
bool is_plain(char c) { return c >= 0x20 && c <= 0x7E && c != '"' && c != '\\'; }

}  // namespace

void append_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t plain = at;
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    out.append(text, at, plain - at);
    at = plain;
    if (at == text.size()) break;
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) {
      out += "\uFFFD";
      ++at;
    } else if (length == 1) {
      append_escape(out, text[at]);  // DEL is legal as it is, but terminals disagree
      ++at;
    } else {
      out.append(text, at, length);
      at += length;
    }
  }
  out += '"';
}

void Writer::new_line() {
  if (style_ == Style::kCompact) return;
  out_ += '\n';
  out_.append(2 * depth_, ' ');
}

void Writer::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ == 0) return;
  if (!first_) out_ += ',';
  new_line();
}

void Writer::begin(char bracket) {
  before_value();
  out_ += bracket;
  ++depth_;
  first_ = true;
}

void Writer::end(char bracket) {
  --depth_;
  if (!first_) new_line();
  out_ += bracket;
  first_ = false;
}

void Writer::key(std::string_view name) {
  before_value();
  append_string(out_, name);
  out_ += style_ == Style::kCompact ? ":" : ": ";
  after_key_ = true;
  first_ = false;
}

void Writer::raw(std::string_view text) {
  before_value();
  out_ += text;
  first_ = false;
}

void Writer::string(std::string_view text) {
  before_value();
  append_string(out_, text);
  first_ = false;
}

void Writer::write_signed(std::int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  raw({digits, end});
}

void Writer::write_unsigned(std::uint64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  raw({digits, end});
}

void Writer::value(const Value& value) {
  switch (value.type()) {
    case Type::kNull: return null();
    case Type::kBoolean: return boolean(value.as_boolean());
    case Type::kFraction: return raw(value.fraction_text());
    case Type::kString: return string(value.as_string());
    case Type::kInteger:
      if (const auto natural = value.as_uint64()) return write_unsigned(*natural);
      return write_signed(value.as_int64().value_or(0));
    case Type::kArray:
      begin_array();
      for (const Value& item : value.items()) this->value(item);
      return end_array();
    case Type::kObject:
      begin_object();
      for (const Member& member : value.members()) {
        key(member.key);
        this->value(member.value);
      }
      return end_object();
  }
}

}  // namespace bulkhead::json
