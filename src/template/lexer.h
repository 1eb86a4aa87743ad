// From the text of a template to pieces: literal text, and actions as tokens.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace bulkhead::templates {

enum class TokenKind {
  kDot,
  kField,     // ".Name"; the text is "Name"
  kVariable,  // "$", "$name"
  kWord,      // a function, a keyword, true, false, nil
  kString,    // the text is what the quotes mean
  kInteger,   // also a character constant
  kFraction,  // the text is as json::Value::fraction has it
  kLeftParenthesis,
  kRightParenthesis,
  kPipe,
  kDeclare,  // ":="
  kAssign,   // "="
  kComma,
};

struct Token {
  TokenKind kind{};
  std::size_t at = 0;  // in the template
  std::string text;
  std::int64_t integer = 0;
  bool after_space = false;
};

struct Piece {
  bool action = false;
  std::size_t at = 0;   // of the text, or of "{{"
  std::size_t end = 0;  // of an action: of "}}"
  std::string_view text;
  std::vector<Token> tokens;
};

// Spaces that a trim marker takes away are gone, and so are comments.
Result<std::vector<Piece>> lex(std::string_view source);

}  // namespace bulkhead::templates
