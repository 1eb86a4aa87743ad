#include "template/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/text.h"
#include "json/writer.h"

namespace bulkhead::templates {
namespace {

using json::Type;
using json::Value;

constexpr int kMostWidth = 10'000;

// %v of a float64: the shortest text that reads back the same, with an exponent only for numbers
// below 1e-4 and from 1e6 on.
std::string shortest(double number) {
  char text[400];
  const double magnitude = std::fabs(number);
  const bool exponent = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e6);
  const auto [end, error] =
      std::to_chars(text, text + sizeof text, number,
                    exponent ? std::chars_format::scientific : std::chars_format::fixed);
  return error == std::errc{} ? std::string(text, end) : "NaN";
}

std::string integer_text(const Value& value) {
  if (const auto natural = value.as_uint64()) return std::to_string(*natural);
  return std::to_string(value.as_int64().value_or(0));
}

std::vector<const json::Member*> sorted_members(const Value& object) {
  std::vector<const json::Member*> members;
  for (const json::Member& member : object.members())
    if (!is_method(member.key)) members.push_back(&member);
  std::ranges::sort(members, {}, [](const json::Member* member) { return member->key; });
  return members;
}

void write_json(json::Writer& writer, const Value& value) {
  if (value.type() == Type::kObject) {
    writer.begin_object();
    for (const json::Member& member : value.members()) {
      if (is_method(member.key)) continue;
      writer.key(member.key);
      write_json(writer, member.value);
    }
    writer.end_object();
  } else if (value.type() == Type::kArray) {
    writer.begin_array();
    for (const Value& item : value.items()) write_json(writer, item);
    writer.end_array();
  } else {
    writer.value(value);
  }
}

// strconv.Quote: what is printable stays.
std::string go_quoted(std::string_view text) {
  constexpr std::string_view kNames = "abfnrtv\\\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\\"";
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t named = kMeanings.find(text.front());
    if (named != std::string_view::npos) {
      out.append("\\").append(1, kNames[named]);
    } else if (length == 0 || c < 0x20 || c == 0x7f) {
      out.append("\\x").append(1, kDigits[c >> 4]).append(1, kDigits[c & 15]);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out + '"';
}

struct Verb {
  char letter = 'v';
  bool minus = false, plus = false, sharp = false, zero = false, space = false;
  std::optional<int> width;
  std::optional<int> precision;
};

std::string in_base(std::uint64_t number, int base, bool upper) {
  char text[65];
  const auto [end, error] = std::to_chars(text, text + sizeof text, number, base);
  std::string out(text, error == std::errc{} ? end : text);
  if (upper)
    std::ranges::transform(out, out.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    });
  return out;
}

// Signs and zeros of a number; `digits` without its sign.
std::string number_text(const Verb& verb, bool negative, std::string prefix, std::string digits) {
  std::string sign = negative ? "-" : verb.plus ? "+" : verb.space ? " " : "";
  sign += prefix;
  const std::size_t width = static_cast<std::size_t>(verb.width.value_or(0));
  if (verb.zero && !verb.minus && digits.size() + sign.size() < width)
    digits.insert(0, width - sign.size() - digits.size(), '0');
  return sign + digits;
}

std::string bad_verb(const Verb& verb, const Value& value) {
  std::string out = std::string("%!") + verb.letter + "(";
  if (value.is_null()) return out + "<nil>)";
  out.append(go_type(value)).append("=");
  append_value(out, value);
  return out + ")";
}

std::string format_integer(const Verb& verb, const Value& value) {
  const auto number = value.as_int64();
  const bool negative = number && *number < 0;
  const std::uint64_t magnitude =
      negative ? 0 - static_cast<std::uint64_t>(*number) : value.as_uint64().value_or(0);
  const auto digits = [&](int base, std::string_view prefix) {
    std::string text = in_base(magnitude, base, verb.letter == 'X');
    if (verb.precision && text.size() < static_cast<std::size_t>(*verb.precision))
      text.insert(0, static_cast<std::size_t>(*verb.precision) - text.size(), '0');
    return number_text(verb, negative, verb.sharp ? std::string(prefix) : "", text);
  };
  switch (verb.letter) {
    case 'v':
    case 'd': return digits(10, "");
    case 'x': return digits(16, "0x");
    case 'X': return digits(16, "0X");
    case 'o': return digits(8, "0");
    case 'O': return "0o" + digits(8, "");
    case 'b': return digits(2, "0b");
    case 'c': {
      if (magnitude < 0x80 && !negative) return std::string(1, static_cast<char>(magnitude));
      return bad_verb(verb, value);
    }
    default: return bad_verb(verb, value);
  }
}

std::string format_fraction(const Verb& verb, double number) {
  const bool negative = std::signbit(number);
  number = std::fabs(number);
  std::string text;
  if (verb.letter == 'v' || (verb.letter == 'g' && !verb.precision)) {
    text = shortest(number);
  } else {
    char buffer[512];
    const char pattern[] = {'%', '.', '*', verb.letter, '\0'};
    const int size = std::snprintf(buffer, sizeof buffer, pattern,
                                   std::min(verb.precision.value_or(6), 100), number);
    text.assign(buffer, static_cast<std::size_t>(std::clamp(size, 0, 511)));
  }
  return number_text(verb, negative, "", text);
}

std::string format_text(const Verb& verb, std::string_view text) {
  // A precision counts characters.
  if (verb.precision) {
    std::size_t at = 0;
    for (int left = *verb.precision; left > 0 && at < text.size(); --left)
      at += std::max<std::size_t>(utf8_length(text.substr(at)), 1);
    text = text.substr(0, at);
  }
  if (verb.letter == 'q') return go_quoted(text);
  if (verb.letter != 'x' && verb.letter != 'X') return std::string(text);
  std::string out;
  for (const char c : text) {
    const std::string byte = in_base(static_cast<unsigned char>(c), 16, verb.letter == 'X');
    out.append(byte.size() == 1 ? "0" : "").append(byte);
  }
  return out;
}

std::string padded(const Verb& verb, std::string text) {
  const auto width = static_cast<std::size_t>(verb.width.value_or(0));
  std::size_t size = 0;
  for (const char c : text) size += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  if (size >= width) return text;
  if (verb.minus) return text.append(width - size, ' ');
  return text.insert(0, width - size, ' ');
}

std::string formatted(const Verb& verb, const Value& value);

std::string format_collection(const Verb& verb, const Value& value) {
  const bool map = value.type() == Type::kObject;
  std::string out = map ? "map[" : "[";
  bool first = true;
  const auto element = [&](std::string_view before, const Value& item) {
    if (!first) out += ' ';
    first = false;
    out.append(before).append(formatted(verb, item));
  };
  for (const Value& item : value.items()) element("", item);
  for (const json::Member* member : sorted_members(value))
    element(formatted(verb, Value::string(member->key)) + ":", member->value);
  return out + "]";
}

std::string formatted(const Verb& verb, const Value& value) {
  const auto is = [&](std::string_view letters) {
    return letters.find(verb.letter) != std::string_view::npos;
  };
  if (verb.letter == 'T') return padded(verb, std::string(go_type(value)));
  switch (value.type()) {
    case Type::kNull: return padded(verb, verb.letter == 'v' ? "<nil>" : bad_verb(verb, value));
    case Type::kBoolean:
      if (!is("vt")) return bad_verb(verb, value);
      return padded(verb, value.as_boolean() ? "true" : "false");
    case Type::kInteger: return padded(verb, format_integer(verb, value));
    case Type::kFraction:
      if (!is("vfFeEgG")) return bad_verb(verb, value);
      return padded(verb, format_fraction(verb, to_double(value)));
    case Type::kString:
      if (!is("vsqxX")) return bad_verb(verb, value);
      return padded(verb, format_text(verb, value.as_string()));
    case Type::kArray:
    case Type::kObject: return format_collection(verb, value);
  }
  return {};
}

std::optional<int> take_number(std::string_view& text) {
  const std::size_t size = std::min(text.find_first_not_of("0123456789"), text.size());
  if (size == 0) return std::nullopt;
  const int number = parse_number<int>(text.substr(0, size)).value_or(kMostWidth);
  text.remove_prefix(size);
  return std::min(number, kMostWidth);
}

// After the '%'.
Verb take_verb(std::string_view& text) {
  Verb verb;
  for (; !text.empty(); text.remove_prefix(1)) {
    bool* const flag = text.front() == '-'   ? &verb.minus
                       : text.front() == '+' ? &verb.plus
                       : text.front() == '#' ? &verb.sharp
                       : text.front() == '0' ? &verb.zero
                       : text.front() == ' ' ? &verb.space
                                             : nullptr;
    if (flag == nullptr) break;
    *flag = true;
  }
  verb.width = take_number(text);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    verb.precision = take_number(text).value_or(0);
  }
  verb.letter = text.empty() ? '\0' : text.front();
  if (!text.empty()) text.remove_prefix(1);
  return verb;
}

}  // namespace

bool is_method(std::string_view name) { return name.size() > 2 && name.ends_with("()"); }

double to_double(const Value& number) {
  if (number.type() == Type::kFraction)
    return std::strtod(std::string(number.fraction_text()).c_str(), nullptr);
  if (const auto natural = number.as_uint64()) return static_cast<double>(*natural);
  return static_cast<double>(number.as_int64().value_or(0));
}

std::string_view go_type(const Value& value) {
  switch (value.type()) {
    case Type::kNull: return "<nil>";
    case Type::kBoolean: return "bool";
    case Type::kInteger: return "int";
    case Type::kFraction: return "float64";
    case Type::kString: return "string";
    case Type::kArray: return "[]interface {}";
    case Type::kObject: return "map[string]interface {}";
  }
  return "";
}

void append_value(std::string& out, const Value& value) {
  switch (value.type()) {
    case Type::kNull: out += "<nil>"; break;
    case Type::kBoolean: out += value.as_boolean() ? "true" : "false"; break;
    case Type::kInteger: out += integer_text(value); break;
    case Type::kFraction: out += shortest(to_double(value)); break;
    case Type::kString: out += value.as_string(); break;
    case Type::kArray:
    case Type::kObject: out += format_collection(Verb{}, value); break;
  }
}

std::string to_json(const Value& value) {
  std::string out;
  json::Writer writer(out);
  write_json(writer, value);
  return out;
}

std::string print(std::span<const Value> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    // A space between two neighbours of which neither is a string.
    if (i > 0 && values[i].type() != Type::kString && values[i - 1].type() != Type::kString)
      out += ' ';
    append_value(out, values[i]);
  }
  return out;
}

std::string print_line(std::span<const Value> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ' ';
    append_value(out, values[i]);
  }
  return out + "\n";
}

std::string print_format(std::string_view format, std::span<const Value> values) {
  std::string out;
  std::size_t next = 0;
  while (!format.empty()) {
    const std::size_t percent = std::min(format.find('%'), format.size());
    out += format.substr(0, percent);
    format.remove_prefix(percent);
    if (format.empty()) break;
    format.remove_prefix(1);
    const Verb verb = take_verb(format);
    if (verb.letter == '%')
      out += '%';
    else if (verb.letter == '\0')
      out += "%!(NOVERB)";
    else if (next >= values.size())
      out.append("%!").append(1, verb.letter).append("(MISSING)");
    else
      out += formatted(verb, values[next++]);
  }
  if (next < values.size()) {
    out += "%!(EXTRA ";
    for (std::size_t i = next; i < values.size(); ++i) {
      if (i > next) out += ", ";
      out.append(go_type(values[i]));
      if (values[i].is_null()) continue;
      out += '=';
      append_value(out, values[i]);
    }
    out += ')';
  }
  return out;
}

}  // namespace bulkhead::templates
