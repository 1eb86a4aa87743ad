#include "json/parse.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/text.h"
#include "json/tree_builder.h"

namespace bulkhead::json {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The value of a hexadecimal digit, or -1.
int hexadecimal(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// `code` is a Unicode scalar value: never a surrogate, at most U+10FFFF.
char* put_utf8(char* out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { *out++ = static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
  return out;
}

// One pass over the text, without recursion, so that no depth of nesting costs stack. Strings
// without escapes stay where they are in the text, which the document keeps.
class Parser {
 public:
  Parser(std::string_view text, const Limits& limits) : builder_(limits) {
    const std::string_view kept = builder_.arena().copy(text);
    begin_ = at_ = kept.data();
    end_ = begin_ + kept.size();
  }

  Result<Document> run() && {
    if (!read_document()) return std::unexpected(take_error());
    return std::move(builder_).finish();
  }

 private:
  // --- grammar ---
  bool read_document() {
    if (!read_value_or_open()) return false;
    while (builder_.is_open()) {
      if (!read_next_in_container()) return false;
    }
    skip_space();
    return at_ == end_ || fail("text after the value");
  }

  // A scalar, or the opening of an array or object.
  bool read_value_or_open() {
    skip_space();
    if (at_ == end_) return fail("the text ends where a value should stand");
    switch (*at_) {
      case '{': return ++at_, first_ = true, builder_.open_object();
      case '[': return ++at_, first_ = true, builder_.open_array();
      case '"': {
        std::string_view text;
        return read_string(text) && builder_.add(Value::string(text));
      }
      case 't': return read_word("true", Value::boolean(true));
      case 'f': return read_word("false", Value::boolean(false));
      case 'n': return read_word("null", Value::null());
      default: return read_number();
    }
  }

  // After '[' or '{' or a value in there: the next value, or the end.
  bool read_next_in_container() {
    const bool object = builder_.in_object();
    const bool first = std::exchange(first_, false);
    skip_space();
    if (at_ != end_ && *at_ == (object ? '}' : ']')) return ++at_, builder_.close();
    if (!first) {
      if (at_ == end_ || *at_ != ',') {
        return fail(object ? "a comma or '}' should stand here"
                           : "a comma or ']' should stand here");
      }
      ++at_;
    }
    return (!object || read_key()) && read_value_or_open();
  }

  bool read_key() {
    skip_space();
    if (at_ == end_ || *at_ != '"') return fail("a key in double quotes should stand here");
    std::string_view name;
    if (!read_string(name)) return false;
    skip_space();
    if (at_ == end_ || *at_ != ':') return fail("a colon should stand here");
    ++at_;
    builder_.key(name);
    return true;
  }

  bool read_word(std::string_view word, Value value) {
    if (!std::string_view(at_, rest()).starts_with(word)) return fail("a value should stand here");
    at_ += word.size();
    return builder_.add(value);
  }

  // --- numbers ---
  bool read_number() {
    const char* const start = at_;
    const bool negative = *at_ == '-';
    if (negative) ++at_;
    if (at_ == end_ || !is_digit(*at_)) {
      return fail(negative ? "a digit should stand here" : "a value should stand here");
    }
    if (*at_ == '0' && rest() > 1 && is_digit(at_[1])) return fail("a number begins with a zero");
    std::uint64_t magnitude = 0;
    bool fits = true;
    for (; at_ != end_ && is_digit(*at_); ++at_) {
      const auto digit = static_cast<std::uint64_t>(*at_ - '0');
      fits = fits && !__builtin_mul_overflow(magnitude, std::uint64_t{10}, &magnitude) &&
             !__builtin_add_overflow(magnitude, digit, &magnitude);
    }
    constexpr std::uint64_t kLeastMagnitude = std::uint64_t{1} << 63;  // of the least int64
    if (negative && magnitude > kLeastMagnitude) fits = false;
    if (at_ != end_ && (*at_ == '.' || *at_ == 'e' || *at_ == 'E')) {
      if (!skip_fraction_and_exponent()) return false;
      fits = false;
    }
    if (!fits) return builder_.add(Value::fraction({start, at_}));
    return builder_.add(negative ? Value::integer(static_cast<std::int64_t>(0 - magnitude))
                                 : Value::natural(magnitude));
  }

  bool skip_fraction_and_exponent() {
    if (*at_ == '.') {
      ++at_;
      if (!skip_digits()) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (!skip_digits()) return false;
    }
    return true;
  }

  bool skip_digits() {
    if (at_ == end_ || !is_digit(*at_)) return fail("a digit should stand here");
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return true;
  }

  // --- strings ---
  bool read_string(std::string_view& out) {
    const char* const start = ++at_;
    if (!skip_plain()) return false;
    if (*at_ == '"') {
      out = {start, at_};
      ++at_;
      return true;
    }
    return read_escaped_string(start, out);
  }

  // Up to the quotation mark or backslash that comes next.
  bool skip_plain() {
    while (at_ != end_) {
      const auto byte = static_cast<unsigned char>(*at_);
      if (byte == '"' || byte == '\\') return true;
      if (byte < 0x20) return fail("a control character in a string; it is written as \\u00..");
      if (byte < 0x80) {
        ++at_;
        continue;
      }
      const std::size_t length = utf8_length({at_, rest()});
      if (length == 0) return fail("bytes that are not UTF-8");
      at_ += length;
    }
    return fail("the text ends within a string");
  }

  // From the first backslash on. What is decoded is never longer than what it was written as, so
  // the length up to the closing quotation mark is enough.
  bool read_escaped_string(const char* start, std::string_view& out) {
    const char* close = at_;
    while (close != end_ && *close != '"') close += *close == '\\' && end_ - close > 1 ? 2 : 1;
    if (close == end_) return at_ = end_, fail("the text ends within a string");
    char* const buffer =
        static_cast<char*>(builder_.arena().allocate(static_cast<std::size_t>(close - start), 1));
    char* to = std::copy(start, at_, buffer);
    while (*at_ == '\\') {
      if (!read_escape(to)) return false;
      const char* const plain = at_;
      if (!skip_plain()) return false;
      to = std::copy(plain, at_, to);
    }
    ++at_;
    out = {buffer, to};
    return true;
  }

  bool read_escape(char*& to) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = at_[1];  // read_escaped_string has seen that it is there
    if (letter == 'u') return read_unicode_escape(to);
    const std::size_t index = kLetters.find(letter);
    if (index == std::string_view::npos) return fail("a backslash that begins no escape");
    *to++ = kMeanings[index];
    at_ += 2;
    return true;
  }

  bool read_unicode_escape(char*& to) {
    std::uint32_t code = 0;
    if (!read_four_digits(code)) return false;
    if (code >= 0xDC00 && code <= 0xDFFF) return fail("half of a surrogate pair");
    if (code >= 0xD800 && code <= 0xDBFF) {
      std::uint32_t low = 0;
      if (rest() < 2 || at_[0] != '\\' || at_[1] != 'u') return fail("half of a surrogate pair");
      if (!read_four_digits(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return fail("half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    to = put_utf8(to, code);
    return true;
  }

  // "\u" and four hexadecimal digits.
  bool read_four_digits(std::uint32_t& code) {
    if (rest() < 6) return at_ = end_, fail("the text ends within a string");
    for (int i = 2; i < 6; ++i) {
      const int digit = hexadecimal(at_[i]);
      if (digit < 0) return fail("\\u without four hexadecimal digits");
      code = code << 4 | static_cast<std::uint32_t>(digit);
    }
    at_ += 6;
    return true;
  }

  // --- position and errors ---
  std::size_t rest() const { return static_cast<std::size_t>(end_ - at_); }
  void skip_space() {
    while (at_ != end_ && is_space(*at_)) ++at_;
  }

  bool fail(const char* what) {
    what_ = what;
    return false;
  }

  Error take_error() {
    if (builder_.error()) return std::move(*builder_.error());
    const auto line = std::count(begin_, at_, '\n') + 1;
    const char* line_start = at_;
    while (line_start != begin_ && line_start[-1] != '\n') --line_start;
    if (at_ != end_ && *at_ == '\0') what_ = "a NUL byte";
    if (std::string_view(begin_, end_).starts_with("\xEF\xBB\xBF")) what_ = "a byte order mark";
    return {ErrorKind::kInvalid,
            "line " + std::to_string(line) + ", column " + std::to_string(at_ - line_start + 1) +
                ": " + what_,
            "correct the JSON text there"};
  }

  TreeBuilder builder_;
  const char* begin_ = nullptr;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  const char* what_ = "";
  bool first_ = false;  // nothing has been read yet in the innermost array or object
};

}  // namespace

Result<Document> parse(std::string_view text, const Limits& limits) {
  constexpr std::size_t kLargest = 0xFFFFFFFF;
  const std::size_t most = std::min(limits.bytes, kLargest);
  if (text.size() > most) {
    return fail(ErrorKind::kInvalid,
                "the JSON text has " + std::to_string(text.size()) + " bytes; at most " +
                    std::to_string(most) + " are read",
                "no document of this kind is that large; look at what wrote it");
  }
  return Parser(text, limits).run();
}

}  // namespace bulkhead::json
