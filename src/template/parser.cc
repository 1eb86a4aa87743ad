#include <algorithm>
#include <span>

#include "base/text.h"
#include "template/functions.h"
#include "template/lexer.h"
#include "template/source.h"
#include "template/tree.h"

namespace bulkhead::templates {
namespace {

constexpr int kMostDepth = 64;  // of blocks and parentheses together

constexpr std::string_view kKeywords[] = {"break", "continue", "define", "else",     "end",
                                          "block", "if",       "range",  "template", "with"};
bool is_keyword(std::string_view word) {
  return std::ranges::find(kKeywords, word) != std::end(kKeywords);
}

class Parser {
 public:
  Parser(std::string_view source, std::vector<Piece> pieces)
      : source_(source), pieces_(std::move(pieces)) {}

  Result<Tree> run() {
    Tree tree{source_, {}};
    variables_.emplace_back("$");
    TRY(list(tree.nodes));
    if (next_ < pieces_.size()) {
      const Token& word = pieces_[next_].tokens.front();
      return wrong(word.at, "{{" + word.text + "}} without a beginning",
                   "{{if}}, {{range}} or {{with}} is expected before it");
    }
    return tree;
  }

 private:
  std::unexpected<Error> wrong(std::size_t at, std::string what, std::string hint = {}) const {
    return std::unexpected(error_at(source_, at, std::move(what), std::move(hint)));
  }

  Result<void> deeper(std::size_t at) {
    if (++depth_ > kMostDepth) return wrong(at, "nested too deeply: 64 levels are the limit");
    return {};
  }

  // --- blocks ---------------------------------------------------------------------------------

  std::string_view first_word(const Piece& piece) const {
    if (!piece.action || piece.tokens.empty() || piece.tokens.front().kind != TokenKind::kWord)
      return {};
    return piece.tokens.front().text;
  }

  // Up to an {{else}} or {{end}}, which stays, or the end.
  Result<void> list(std::vector<Node>& nodes) {
    while (next_ < pieces_.size()) {
      const Piece& piece = pieces_[next_];
      const std::string_view word = first_word(piece);
      if (word == "else" || word == "end") return {};
      ++next_;
      Node node;
      if (!piece.action) {
        node.kind = NodeKind::kText;
        node.text = piece.text;
      } else {
        begin(piece);
        TRY(statement(word, node));
      }
      nodes.push_back(std::move(node));
    }
    return {};
  }

  void begin(const Piece& piece) {
    tokens_ = piece.tokens;
    end_ = piece.end;
  }

  Result<void> statement(std::string_view word, Node& node) {
    if (word == "if" || word == "range" || word == "with") {
      node.kind = word == "if"      ? NodeKind::kIf
                  : word == "range" ? NodeKind::kRange
                                    : NodeKind::kWith;
      const std::size_t at = tokens_.front().at;
      tokens_ = tokens_.subspan(1);
      return block(at, word, node);
    }
    if (word == "break" || word == "continue") {
      if (loops_ == 0)
        return wrong(tokens_.front().at, "{{" + std::string(word) + "}} outside of {{range}}");
      node.kind = word == "break" ? NodeKind::kBreak : NodeKind::kContinue;
      tokens_ = tokens_.subspan(1);
      return no_more(word);
    }
    if (word == "define" || word == "template" || word == "block")
      return wrong(tokens_.front().at, "{{" + std::string(word) + "}} is not supported",
                   "write the text where it is to stand");
    node.kind = NodeKind::kAction;
    TRY_ASSIGN(node.pipeline, pipeline(Context::kAction));
    return {};
  }

  Result<void> no_more(std::string_view after) const {
    if (tokens_.empty()) return {};
    return wrong(tokens_.front().at, "}} is expected after " + std::string(after));
  }

  // The condition stands in tokens_; the body in the pieces that follow.
  Result<void> block(std::size_t at, std::string_view word, Node& node) {
    TRY(deeper(at));
    const std::size_t scope = variables_.size();
    TRY_ASSIGN(node.pipeline,
               pipeline(node.kind == NodeKind::kRange ? Context::kRange : Context::kAction));
    if (node.kind == NodeKind::kRange) ++loops_;
    TRY(list(node.body));
    if (node.kind == NodeKind::kRange) --loops_;
    if (next_ == pieces_.size()) return wrong(at, "{{" + std::string(word) + "}} has no {{end}}");
    const Piece& piece = pieces_[next_++];
    begin(piece);
    const bool is_else = tokens_.front().text == "else";
    tokens_ = tokens_.subspan(1);
    if (is_else)
      TRY(otherwise(word, node));
    else
      TRY(no_more("end"));
    variables_.resize(scope);
    --depth_;
    return {};
  }

  Result<void> otherwise(std::string_view word, Node& node) {
    // {{else if}} and {{else with}} share the {{end}}.
    if (!tokens_.empty() && tokens_.front().text == word && node.kind != NodeKind::kRange &&
        tokens_.front().kind == TokenKind::kWord) {
      Node inner;
      TRY(statement(word, inner));
      node.otherwise.push_back(std::move(inner));
      return {};
    }
    if (!tokens_.empty())
      return wrong(
          tokens_.front().at, "}} is expected after else",
          node.kind == NodeKind::kRange ? "" : "or " + std::string(word) + " and a condition");
    TRY(list(node.otherwise));
    if (next_ == pieces_.size())
      return wrong(node.pipeline.at, "{{" + std::string(word) + "}} has no {{end}}");
    const Piece& piece = pieces_[next_++];
    begin(piece);
    if (tokens_.front().text != "end")
      return wrong(tokens_.front().at, "a second {{else}}", "{{end}} is expected");
    tokens_ = tokens_.subspan(1);
    return no_more("end");
  }

  // --- pipelines ------------------------------------------------------------------------------

  enum class Context { kAction, kRange, kParentheses };

  bool at_end() const { return tokens_.empty(); }
  std::size_t place() const { return tokens_.empty() ? end_ : tokens_.front().at; }
  bool next_is(TokenKind kind) const { return !tokens_.empty() && tokens_.front().kind == kind; }
  Token take() {
    Token token = tokens_.front();
    tokens_ = tokens_.subspan(1);
    return token;
  }

  Result<void> declarations(Context context, Pipeline& made) {
    const auto kind = [&](std::size_t at) {
      return at < tokens_.size() ? std::optional(tokens_[at].kind) : std::nullopt;
    };
    if (context == Context::kParentheses || kind(0) != TokenKind::kVariable) return {};
    const bool pair = kind(1) == TokenKind::kComma && kind(2) == TokenKind::kVariable;
    const auto sign = kind(pair ? 3 : 1);
    if (sign != TokenKind::kDeclare && sign != TokenKind::kAssign) return {};
    if (pair && context != Context::kRange)
      return wrong(tokens_[1].at, "two variables are for {{range}} alone");
    for (int i = 0; i < (pair ? 2 : 1); ++i) {
      Token name = take();
      if (name.text == "$") return wrong(name.at, "$ is the whole value: it cannot be set");
      made.variables.push_back({name.at, std::move(name.text)});
      take();  // "," or the sign
    }
    made.assigns = sign == TokenKind::kAssign;
    if (made.assigns)
      for (const Name& name : made.variables) TRY(check_variable(name.at, name.text));
    return {};
  }

  Result<void> check_variable(std::size_t at, const std::string& name) const {
    if (std::ranges::find(variables_, name) != variables_.end()) return {};
    return wrong(at, "there is no variable " + quoted(name),
                 "set it first: {{" + name + " := ...}}");
  }

  // To the end of the action, or to ")", which stays.
  Result<Pipeline> pipeline(Context context) {
    Pipeline made;
    made.at = place();
    TRY(declarations(context, made));
    while (true) {
      TRY_ASSIGN(Command next, command());
      made.commands.push_back(std::move(next));
      if (at_end()) break;
      if (next_is(TokenKind::kRightParenthesis) && context == Context::kParentheses) break;
      if (!next_is(TokenKind::kPipe))
        return wrong(place(), next_is(TokenKind::kRightParenthesis)
                                  ? "a ) that nothing opens"
                                  : "a space, | or }} is expected here");
      take();
    }
    for (std::size_t i = 1; i < made.commands.size(); ++i) {
      const Operand& first = made.commands[i].operands.front();
      if (first.kind != OperandKind::kFunction)
        return wrong(first.at, "a function is expected after |",
                     "what stands before it becomes the last argument");
    }
    // Not before the end: {{$x := $x}} means the one around it.
    if (!made.assigns)
      for (const Name& name : made.variables) variables_.push_back(name.text);
    return made;
  }

  Result<Command> command() {
    Command made;
    made.at = place();
    while (!at_end() && !next_is(TokenKind::kPipe) && !next_is(TokenKind::kRightParenthesis)) {
      if (!made.operands.empty() && !tokens_.front().after_space) break;
      TRY_ASSIGN(Operand next, operand());
      made.operands.push_back(std::move(next));
    }
    if (made.operands.empty())
      return wrong(place(), "a value is missing here",
                   "a field such as .Id, a function or a constant is expected");
    const Operand& first = made.operands.front();
    if (first.kind == OperandKind::kNil) return wrong(first.at, "nil is not something to print");
    if (first.kind == OperandKind::kFunction) {
      // What comes by a pipe is counted when it is called.
    } else if (made.operands.size() > 1 && first.kind != OperandKind::kField &&
               first.kind != OperandKind::kVariable && first.kind != OperandKind::kPipeline) {
      return wrong(made.operands[1].at, "only functions take arguments");
    }
    return made;
  }

  Result<Operand> operand() {
    TRY_ASSIGN(Operand made, term());
    bool chains = made.kind == OperandKind::kField || made.kind == OperandKind::kVariable ||
                  made.kind == OperandKind::kPipeline;
    while (next_is(TokenKind::kField) && !tokens_.front().after_space) {
      if (!chains) return wrong(place(), "this has no fields", "a space is expected before .");
      Token name = take();
      made.fields.push_back({name.at, std::move(name.text)});
    }
    return made;
  }

  Result<Operand> term() {
    Token token = take();
    Operand made;
    made.at = token.at;
    made.integer = token.integer;
    switch (token.kind) {
      case TokenKind::kDot: made.kind = OperandKind::kDot; return made;
      case TokenKind::kField:
        made.kind = OperandKind::kField;
        made.fields.push_back({token.at, std::move(token.text)});
        return made;
      case TokenKind::kVariable:
        TRY(check_variable(token.at, token.text));
        made.kind = OperandKind::kVariable;
        break;
      case TokenKind::kString: made.kind = OperandKind::kString; break;
      case TokenKind::kInteger: made.kind = OperandKind::kInteger; break;
      case TokenKind::kFraction: made.kind = OperandKind::kFraction; break;
      case TokenKind::kWord: return word(std::move(token), std::move(made));
      case TokenKind::kLeftParenthesis: return parentheses(std::move(made));
      default:
        return wrong(token.at, "a value is missing here",
                     "a field such as .Id, a function or a constant is expected");
    }
    made.text = std::move(token.text);
    return made;
  }

  Result<Operand> word(Token token, Operand made) const {
    if (token.text == "true" || token.text == "false") {
      made.kind = OperandKind::kBoolean;
      made.integer = token.text == "true" ? 1 : 0;
    } else if (token.text == "nil") {
      made.kind = OperandKind::kNil;
    } else if (is_keyword(token.text)) {
      return wrong(token.at, quoted(token.text) + " must stand first in its action");
    } else if (find_function(token.text) == nullptr) {
      std::string names;
      for (const Function& function : functions())
        names.append(names.empty() ? "" : " ").append(function.name);
      return wrong(token.at, "there is no function " + quoted(token.text),
                   "fields begin with a dot, and the functions are: " + names);
    } else {
      made.kind = OperandKind::kFunction;
    }
    made.text = std::move(token.text);
    return made;
  }

  Result<Operand> parentheses(Operand made) {
    TRY(deeper(made.at));
    made.kind = OperandKind::kPipeline;
    TRY_ASSIGN(Pipeline inner, pipeline(Context::kParentheses));
    if (!next_is(TokenKind::kRightParenthesis)) return wrong(made.at, "this ( is not closed");
    take();
    --depth_;
    made.pipeline = std::make_unique<Pipeline>(std::move(inner));
    return made;
  }

  std::string_view source_;
  std::vector<Piece> pieces_;
  std::size_t next_ = 0;
  std::span<const Token> tokens_;
  std::size_t end_ = 0;
  int depth_ = 0;
  int loops_ = 0;
  std::vector<std::string> variables_;
};

}  // namespace

Result<Tree> parse(std::string_view source) {
  TRY_ASSIGN(std::vector<Piece> pieces, lex(source));
  return Parser(source, std::move(pieces)).run();
}

}  // namespace bulkhead::templates
