#include "engine/toml_text.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/text.h"
#include "json/writer.h"

namespace bulkhead::engine {
namespace {

using Kind = TomlStatement::Kind;
using Path = std::vector<std::string>;

constexpr std::string_view kBegin =
    "# bulkhead: begin (`bulkhead system integrate ... --remove` takes this out)\n";
// For a text whose last line has no end: the end is part of the block.
constexpr std::string_view kBeginBehindOpenLine =
    "\n# bulkhead: begin, behind a line without end (`bulkhead system integrate ... --remove` "
    "takes "
    "this out)\n";
constexpr std::string_view kEnd = "# bulkhead: end\n";

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Result<std::vector<TomlStatement>> run() {
    for (skip_blank(); at_ < text_.size(); skip_blank()) TRY(statement());
    return std::move(statements_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  void skip_comment() {
    if (peek() == '#') at_ = std::min(text_.find('\n', at_), text_.size());
  }
  // Space, comments and ends of lines.
  void skip_blank() {
    for (;;) {
      const std::size_t before = at_;
      skip_space();
      skip_comment();
      while (peek() == '\n' || peek() == '\r') ++at_;
      if (at_ == before) return;
    }
  }

  Error error(std::string_view what) const {
    const auto line =
        std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
    return {ErrorKind::kInvalid,
            "not TOML: line " + std::to_string(line + 1) + ": " + std::string(what)};
  }

  Result<void> statement() {
    TomlStatement made;
    made.line = 1 + static_cast<std::size_t>(std::count(
                        text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n'));
    if (take('[')) {
      made.kind = take('[') ? Kind::kArrayOfTables : Kind::kTable;
      TRY_ASSIGN(made.path, key_path());
      if (!take(']') || (made.kind == Kind::kArrayOfTables && !take(']')))
        return std::unexpected(error("\"]\" is missing"));
      table_ = made.path;
    } else {
      made.table_size = table_.size();
      TRY_ASSIGN(const Path keys, key_path());
      made.path = table_;
      made.path.insert(made.path.end(), keys.begin(), keys.end());
      if (!take('=')) return std::unexpected(error("\"=\" is missing behind a key"));
      skip_space();
      const std::size_t begin = at_;
      TRY(value());
      made.value = trim(text_.substr(begin, at_ - begin));
    }
    skip_space();
    skip_comment();
    (void)take('\r');
    if (at_ < text_.size() && !take('\n'))
      return std::unexpected(error("something stands behind the end of a statement"));
    made.end = at_;
    statements_.push_back(std::move(made));
    return {};
  }

  Result<Path> key_path() {
    Path path;
    do {
      skip_space();
      std::string key;
      if (peek() == '"' || peek() == '\'') {
        const std::size_t begin = at_ + 1;
        TRY(string());
        for (std::size_t i = begin; i + 1 < at_; ++i) {
          if (text_[begin - 1] == '"' && text_[i] == '\\' && i + 2 < at_) ++i;
          key += text_[i];
        }
      } else {
        while (is_bare(peek())) key += text_[at_++];
        if (key.empty()) return std::unexpected(error("a key is expected"));
      }
      path.push_back(std::move(key));
      skip_space();
    } while (take('.'));
    return path;
  }

  Result<void> string() {
    const char mark = peek();
    const bool many = peek(1) == mark && peek(2) == mark;
    at_ += many ? 3 : 1;
    for (; at_ < text_.size(); ++at_) {
      if (mark == '"' && peek() == '\\') {
        ++at_;
      } else if (!many && peek() == '\n') {
        break;
      } else if (peek() == mark && (!many || (peek(1) == mark && peek(2) == mark))) {
        at_ += many ? 3 : 1;
        // A text of many lines may end in quotation marks of its own.
        while (many && peek() == mark) ++at_;
        return {};
      }
    }
    at_ = std::min(at_, text_.size());
    return std::unexpected(error("a string has no end"));
  }

  // Up to the end of the line, or of the last bracket that it opens.
  Result<void> value() {
    std::string open;
    const std::size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = peek();
      if (c == '"' || c == '\'') {
        TRY(string());
        continue;
      }
      if (c == '#') {
        if (open.empty()) break;
        skip_comment();
        continue;
      }
      if (c == '\n' && open.empty()) break;
      if (c == '[' || c == '{') open += c == '[' ? ']' : '}';
      if (c == ']' || c == '}') {
        if (open.empty() || open.back() != c) return std::unexpected(error("a bracket too many"));
        open.pop_back();
      }
      ++at_;
    }
    if (!open.empty()) return std::unexpected(error("a bracket has no end"));
    if (trim(text_.substr(begin, at_ - begin)).empty())
      return std::unexpected(error("a value is missing"));
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Path table_;
  std::vector<TomlStatement> statements_;
};

std::string written(const Path& path) {
  std::string out;
  for (const std::string& part : path) {
    if (!out.empty()) out += '.';
    if (!part.empty() && std::ranges::all_of(part, is_bare))
      out += part;
    else
      json::append_string(out, part);  // TOML has JSON's escapes
  }
  return out;
}

bool starts_with(const Path& path, const Path& beginning) {
  return path.size() >= beginning.size() &&
         std::equal(beginning.begin(), beginning.end(), path.begin());
}

std::unexpected<Error> in_the_way(const TomlStatement& statement, std::string_view why) {
  return fail(
      ErrorKind::kExists,
      "line " + std::to_string(statement.line) + ": " + written(statement.path) + " " +
          std::string(why),
      "take that line out, or write the registration by hand: without --write it is printed");
}

// The header of the table of an addition; nullptr when the text has none.
Result<const TomlStatement*> header_of(const TomlAddition& addition,
                                       const std::vector<TomlStatement>& statements) {
  const TomlStatement* header = nullptr;
  for (const TomlStatement& statement : statements) {
    if (statement.kind == Kind::kTable && statement.path == addition.table) header = &statement;
    if (statement.kind == Kind::kArrayOfTables && starts_with(addition.table, statement.path))
      return in_the_way(statement, "is an array of tables");
    if (statement.kind != Kind::kKey) continue;
    if (starts_with(addition.table, statement.path))
      return in_the_way(statement, "is written as one value, to which nothing can be added");
    for (const auto& [key, value] : addition.keys) {
      Path full = addition.table;
      full.push_back(key);
      if (statement.path == full) return in_the_way(statement, "is set already");
    }
    if (statement.table_size < addition.table.size() && starts_with(statement.path, addition.table))
      return in_the_way(statement, "is a table written with dots, to which nothing can be added");
  }
  return header;
}

std::string lines_of(const TomlAddition& addition) {
  std::string out;
  for (const auto& [key, value] : addition.keys)
    out.append(key).append(" = ").append(value).append("\n");
  return out;
}

std::string with_header(const TomlAddition& addition) {
  return "[" + written(addition.table) + "]\n" + lines_of(addition);
}

void insert_block(std::string& text, std::size_t at, const std::string& lines) {
  const bool open_line = at > 0 && text[at - 1] != '\n';
  std::string block(open_line ? kBeginBehindOpenLine : kBegin);
  block += lines;
  block += kEnd;
  text.insert(at, block);
}

struct Block {
  std::size_t begin, lines, lines_end, end;
};

Result<std::vector<Block>> blocks_in(std::string_view text) {
  std::vector<Block> blocks;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t closed = text.find(kBegin, at);
    const std::size_t open = text.find(kBeginBehindOpenLine, at);
    const std::size_t begin = std::min(closed, open);
    if (begin == std::string_view::npos) break;
    const std::size_t lines = begin + (open < closed ? kBeginBehindOpenLine : kBegin).size();
    const std::size_t end = text.find(kEnd, lines);
    if (end == std::string_view::npos || text.find(kBegin, lines) < end)
      return fail(ErrorKind::kInvalid, "a block of bulkhead's has no end",
                  "take it out by hand: it begins with " + quoted(trim(kBegin)));
    blocks.push_back({begin, lines, end, end + kEnd.size()});
    at = blocks.back().end;
  }
  return blocks;
}

}  // namespace

Result<std::vector<TomlStatement>> scan_toml(std::string_view text) { return Scanner(text).run(); }

Result<std::string> with_additions(std::string_view text,
                                   const std::vector<TomlAddition>& additions) {
  TRY_ASSIGN(const auto statements, scan_toml(text));
  std::string appended;
  std::map<std::size_t, std::string, std::greater<>> inserted;  // the last one first
  for (const TomlAddition& addition : additions) {
    TRY_ASSIGN(const TomlStatement* const header, header_of(addition, statements));
    if (header == nullptr)
      appended += with_header(addition);
    else
      inserted[header->end] += lines_of(addition);
  }
  if (!appended.empty() && inserted.contains(text.size())) {
    // Both stand at the end: one block, the lines of the last header first.
    appended.insert(0, inserted[text.size()]);
    inserted.erase(text.size());
  }
  std::string out(text);
  if (!appended.empty()) insert_block(out, out.size(), appended);
  for (const auto& [at, lines] : inserted) insert_block(out, at, lines);
  return out;
}

Result<std::string> without_additions(std::string_view text) {
  TRY_ASSIGN(const auto blocks, blocks_in(text));
  std::string out;
  std::size_t at = 0;
  for (const Block& block : blocks) {
    out += text.substr(at, block.begin - at);
    at = block.end;
  }
  return out += text.substr(at);
}

Result<std::string> additions_in(std::string_view text) {
  TRY_ASSIGN(const auto blocks, blocks_in(text));
  std::string out;
  for (const Block& block : blocks) out += text.substr(block.lines, block.lines_end - block.lines);
  return out;
}

std::string as_toml(const std::vector<TomlAddition>& additions) {
  std::string out;
  for (const TomlAddition& addition : additions) out += with_header(addition);
  return out;
}

}  // namespace bulkhead::engine
