#include "template/lexer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "template/source.h"

namespace bulkhead::templates {
namespace {

constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";
constexpr std::string_view kSpace = " \t\r\n";

bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&](std::uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | code >> 6);
    byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | code >> 18);
    byte(0x80 | (code >> 12 & 0x3f));
    byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Piece>> run() {
    while (at_ < source_.size()) {
      const std::size_t open = std::min(source_.find(kOpen, at_), source_.size());
      const bool trims = open < source_.size() && trims_left(open);
      add_text(at_, open, trims);
      at_ = open;
      if (open < source_.size()) TRY(action(trims));
    }
    return std::move(pieces_);
  }

 private:
  std::string_view rest() const { return source_.substr(at_); }
  std::unexpected<Error> wrong(std::size_t at, std::string what, std::string hint = {}) const {
    return std::unexpected(error_at(source_, at, std::move(what), std::move(hint)));
  }

  // "{{- " and not "{{-3": a space belongs to the marker.
  bool trims_left(std::size_t open) const {
    const std::string_view after = source_.substr(open + kOpen.size());
    return after.size() > 1 && after.front() == '-' && is_space(after[1]);
  }

  void add_text(std::size_t begin, std::size_t end, bool trim_end) {
    std::string_view text = source_.substr(begin, end - begin);
    if (trim_next_) {
      const std::size_t first = std::min(text.find_first_not_of(kSpace), text.size());
      text.remove_prefix(first);
      begin += first;
    }
    trim_next_ = false;
    if (trim_end) text = text.substr(0, text.find_last_not_of(kSpace) + 1);
    if (!text.empty())
      pieces_.push_back({.action = false, .at = begin, .text = text, .tokens = {}});
  }

  // At "}}" or " -}}", which is taken.
  bool take_close() {
    const std::string_view text = rest();
    if (text.starts_with(kClose)) {
      at_ += kClose.size();
      return true;
    }
    if (at_ > 0 && is_space(source_[at_ - 1]) && text.starts_with("-}}")) {
      at_ += 3;
      trim_next_ = true;
      return true;
    }
    return false;
  }

  Result<void> comment(std::size_t open) {
    const std::size_t end = source_.find("*/", at_ + 2);
    if (end == std::string_view::npos)
      return wrong(open, "the comment does not end: */ is missing");
    at_ = end + 2;
    if (is_space(rest().empty() ? 'x' : rest().front())) ++at_;
    if (!take_close()) return wrong(at_, "}} is expected after a comment");
    return {};
  }

  Result<void> action(bool trims) {
    Piece piece{.action = true, .at = at_, .text = {}, .tokens = {}};
    at_ += kOpen.size() + (trims ? 2 : 0);
    if (rest().starts_with("/*")) return comment(piece.at);
    bool space = false;
    while (true) {
      const std::size_t before = at_;
      while (at_ < source_.size() && is_space(source_[at_])) ++at_;
      space = at_ != before;
      piece.end = at_;
      if (at_ == source_.size())
        return wrong(piece.at, "the action does not end", "}} is expected");
      if (take_close()) break;
      TRY_ASSIGN(Token next, token());
      next.after_space = space;
      piece.tokens.push_back(std::move(next));
    }
    pieces_.push_back(std::move(piece));
    return {};
  }

  std::string_view take_word() {
    const std::size_t begin = at_;
    while (at_ < source_.size() && is_word(source_[at_])) ++at_;
    return source_.substr(begin, at_ - begin);
  }

  Result<Token> token() {
    Token token{.at = at_, .text = {}};
    const char c = source_[at_];
    const char next = at_ + 1 < source_.size() ? source_[at_ + 1] : '\0';
    const auto sign = [&](TokenKind kind, std::size_t size) {
      token.kind = kind;
      at_ += size;
      return token;
    };
    if (is_digit(c) || ((c == '+' || c == '-' || c == '.') && is_digit(next)) ||
        ((c == '+' || c == '-') && next == '.'))
      return number(std::move(token));
    if (c == '.') {
      ++at_;
      token.text = take_word();
      token.kind = token.text.empty() ? TokenKind::kDot : TokenKind::kField;
      return token;
    }
    if (c == '$') {
      ++at_;
      token.kind = TokenKind::kVariable;
      token.text = "$" + std::string(take_word());
      return token;
    }
    if (is_word(c)) {
      token.kind = TokenKind::kWord;
      token.text = take_word();
      return token;
    }
    switch (c) {
      case '"': return quoted_string(std::move(token));
      case '`': return raw_string(std::move(token));
      case '\'': return character(std::move(token));
      case '(': return sign(TokenKind::kLeftParenthesis, 1);
      case ')': return sign(TokenKind::kRightParenthesis, 1);
      case '|': return sign(TokenKind::kPipe, 1);
      case ',': return sign(TokenKind::kComma, 1);
      case '=': return sign(TokenKind::kAssign, 1);
      default: break;
    }
    if (c == ':' && next == '=') return sign(TokenKind::kDeclare, 2);
    return wrong(at_, "unexpected " + quoted(rest().substr(0, 1)) + " in an action",
                 "a field, a function, a variable or a constant is expected");
  }

  Result<Token> number(Token token) {
    const std::size_t begin = at_;
    if (source_[at_] == '+' || source_[at_] == '-') ++at_;
    while (at_ < source_.size() &&
           (is_word(source_[at_]) || source_[at_] == '.' ||
            ((source_[at_] == '+' || source_[at_] == '-') && (source_[at_ - 1] | 0x20) == 'e' &&
             source_.substr(begin, 2) != "0x")))
      ++at_;
    std::string text(source_.substr(begin, at_ - begin));
    std::erase(text, '_');
    if (text.starts_with('+')) text.erase(0, 1);
    const bool negative = text.starts_with('-');
    std::string_view digits = std::string_view(text).substr(negative ? 1 : 0);
    int base = 10;
    if (digits.size() > 1 && digits.front() == '0') {
      const char letter = static_cast<char>(digits[1] | 0x20);
      base = letter == 'x' ? 16 : letter == 'b' ? 2 : letter == 'o' || is_digit(digits[1]) ? 8 : 10;
      if (base != 10) digits.remove_prefix(is_digit(digits[1]) ? 1 : 2);
    }
    const auto whole =
        parse_number<std::int64_t>((negative ? "-" : "") + std::string(digits), base);
    if (whole && !digits.starts_with('-')) {
      token.kind = TokenKind::kInteger;
      token.integer = *whole;
      return token;
    }
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (base != 10 || end != text.c_str() + text.size() || !std::isfinite(value) ||
        text.find_first_not_of("0123456789.eE+-") != std::string::npos)
      return wrong(begin, quoted(source_.substr(begin, at_ - begin)) + " is not a number");
    token.kind = TokenKind::kFraction;
    token.text = text;
    return token;
  }

  // After the backslash; `quote` is the one that may be escaped.
  Result<void> escape(char quote, std::string& out) {
    const std::size_t begin = at_ - 1;
    const char c = at_ < source_.size() ? source_[at_++] : '\0';
    constexpr std::string_view kNames = "abfnrtv\\";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\";
    if (const std::size_t found = kNames.find(c); c != '\0' && found != std::string_view::npos) {
      out += kMeanings[found];
      return {};
    }
    if (c == quote) {
      out += quote;
      return {};
    }
    const bool octal = c >= '0' && c <= '7';
    const std::size_t size = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (octal) --at_;
    std::optional<std::uint32_t> code;
    if (size != 0 && rest().size() >= size)
      code = parse_number<std::uint32_t>(rest().substr(0, size), octal ? 8 : 16);
    const bool byte = octal || c == 'x';
    if (!code || (byte && *code > 0xff) || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
      return wrong(begin, "the escape " + quoted(source_.substr(begin, 2)) + " means nothing",
                   R"(there are \n \t \r \a \b \f \v \\ \" \xHH \OOO \uHHHH and \UHHHHHHHH)");
    at_ += size;
    if (byte)
      out += static_cast<char>(*code);
    else
      append_utf8(out, code.value_or(0));
    return {};
  }

  Result<Token> quoted_string(Token token) {
    token.kind = TokenKind::kString;
    ++at_;
    while (true) {
      if (at_ == source_.size() || source_[at_] == '\n')
        return wrong(token.at, "the string does not end", "a \" is missing");
      const char c = source_[at_++];
      if (c == '"') return token;
      if (c == '\\')
        TRY(escape('"', token.text));
      else
        token.text += c;
    }
  }

  Result<Token> raw_string(Token token) {
    token.kind = TokenKind::kString;
    const std::size_t end = source_.find('`', at_ + 1);
    if (end == std::string_view::npos)
      return wrong(token.at, "the string does not end", "a ` is missing");
    token.text = source_.substr(at_ + 1, end - at_ - 1);
    std::erase(token.text, '\r');
    at_ = end + 1;
    return token;
  }

  // 'a' is its number, as in Go.
  Result<Token> character(Token token) {
    token.kind = TokenKind::kInteger;
    ++at_;
    std::string text;
    if (rest().starts_with('\\')) {
      ++at_;
      TRY(escape('\'', text));
    } else {
      const std::size_t size = rest().empty() ? 0 : utf8_length(rest());
      text = rest().substr(0, size);
      at_ += size;
    }
    if (text.empty() || !rest().starts_with('\''))
      return wrong(token.at, "one character is expected between ' and '",
                   "strings stand in \" or `");
    ++at_;
    const auto first = static_cast<unsigned char>(text.front());
    std::uint32_t code = first;
    if (utf8_length(text) == text.size() && text.size() > 1) {
      code = first & (0xffU >> (text.size() + 1));
      for (std::size_t i = 1; i < text.size(); ++i)
        code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
    }
    token.integer = code;
    return token;
  }

  std::string_view source_;
  std::size_t at_ = 0;
  bool trim_next_ = false;
  std::vector<Piece> pieces_;
};

}  // namespace

Result<std::vector<Piece>> lex(std::string_view source) { return Lexer(source).run(); }

}  // namespace bulkhead::templates
