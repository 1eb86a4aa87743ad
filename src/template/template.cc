#include "template/template.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "template/evaluate.h"
#include "template/source.h"
#include "template/tree.h"

namespace bulkhead::templates {
namespace {

// Of Docker's tables: a column is at least this wide, its space included.
constexpr std::size_t kLeastWidth = 10;
constexpr std::size_t kPadding = 3;

struct ListFormat {
  bool table = false;
  std::string text;
};

ListFormat read_list_format(std::string_view text) {
  ListFormat format;
  if (text == "json") return {false, "{{json .}}"};
  if (text == "table" || text.starts_with("table ") || text.starts_with("table\t")) {
    format.table = true;
    text.remove_prefix(5);
  }
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape && (text[i + 1] == 't' || text[i + 1] == 'n'))
      format.text += text[++i] == 't' ? '\t' : '\n';
    else
      format.text += text[i];
  }
  return format;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

using Line = std::vector<std::string_view>;

void write_lines(std::span<const Line> lines, const std::vector<std::size_t>& widths,
                 std::string& out) {
  for (const Line& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      out += line[i];
      if (i < widths.size() && i + 1 < line.size()) out.append(widths[i] - width_of(line[i]), ' ');
    }
    out += '\n';
  }
}

// As Go's tabwriter: a column is a run of lines that have a tab there, and is as wide as its widest
// cell; what stands after a line's last tab belongs to no column.
void align(std::span<const Line> lines, std::vector<std::size_t>& widths, std::string& out) {
  const std::size_t column = widths.size();
  std::size_t done = 0;
  for (std::size_t at = 0; at < lines.size();) {
    if (lines[at].size() <= column + 1) {
      ++at;
      continue;
    }
    write_lines(lines.subspan(done, at - done), widths, out);
    const std::size_t begin = at;
    std::size_t width = kLeastWidth;
    for (; at < lines.size() && lines[at].size() > column + 1; ++at)
      width = std::max(width, width_of(lines[at][column]) + kPadding);
    widths.push_back(width);
    align(lines.subspan(begin, at - begin), widths, out);
    widths.pop_back();
    done = at;
  }
  write_lines(lines.subspan(done), widths, out);
}

// Looks for fields of the row that it has not got. What `with` and `range` make of the dot is not known
// before there are values.
class FieldCheck {
 public:
  FieldCheck(std::string_view source, const json::Value& known) : source_(source), known_(known) {}

  Result<void> nodes(const std::vector<Node>& nodes, bool dot_is_row) const {
    for (const Node& node : nodes) {
      TRY(pipeline(node.pipeline, dot_is_row));
      const bool moves = node.kind == NodeKind::kRange || node.kind == NodeKind::kWith;
      TRY(this->nodes(node.body, dot_is_row && !moves));
      TRY(this->nodes(node.otherwise, dot_is_row));
    }
    return {};
  }

 private:
  Result<void> pipeline(const Pipeline& pipeline, bool dot_is_row) const {
    for (const Command& command : pipeline.commands) {
      for (const Operand& operand : command.operands) {
        if (operand.pipeline) TRY(this->pipeline(*operand.pipeline, dot_is_row));
        const bool of_row = (operand.kind == OperandKind::kField && dot_is_row) ||
                            (operand.kind == OperandKind::kVariable && operand.text == "$");
        if (of_row && !operand.fields.empty()) TRY(name(operand.fields.front()));
      }
    }
    return {};
  }

  Result<void> name(const Name& name) const {
    std::string names;
    for (const json::Member& member : known_.members()) {
      std::string_view known = member.key;
      if (known.ends_with("()")) known.remove_suffix(2);
      if (known == name.text) return {};
      names.append(" ").append(known);
    }
    return std::unexpected(error_at(source_, name.at, "there is no field " + quoted(name.text),
                                    "the fields are:" + names));
  }

  std::string_view source_;
  const json::Value& known_;
};

constexpr std::size_t kMostColumns = 256;

Result<std::string> in_columns(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<Line> lines;
  for (const std::string_view line : split(text, '\n')) {
    lines.push_back(split(line, '\t'));
    if (lines.back().size() > kMostColumns)
      return fail(ErrorKind::kUsage, "template: more than 256 columns in a table");
  }
  std::string out;
  std::vector<std::size_t> widths;
  align(lines, widths, out);
  return out;
}

}  // namespace

Result<std::string> render(std::string_view text, const json::Value& value) {
  TRY_ASSIGN(const Tree tree, parse(text));
  return evaluate(tree, value, Mode::kValues);
}

Result<std::string> render_list(std::string_view text, std::span<const json::Value> rows,
                                const json::Value& headers) {
  const ListFormat format = read_list_format(text);
  TRY_ASSIGN(const Tree tree, parse(format.text));
  std::string out;
  if (format.table) {
    TRY_ASSIGN(out, evaluate(tree, headers, Mode::kHeaders));
    out += '\n';
  }
  for (const json::Value& row : rows) {
    TRY_ASSIGN(const std::string line, evaluate(tree, row, Mode::kValues));
    out.append(line).append("\n");
    if (out.size() > kMostOutput)
      return fail(ErrorKind::kUsage, "template: prints more than 64 MiB");
  }
  if (!format.table) return out;
  return in_columns(out);
}

Result<void> check(std::string_view text) {
  TRY_ASSIGN(const Tree tree, parse(text));
  (void)tree;
  return {};
}

Result<void> check_list(std::string_view text) { return check(read_list_format(text).text); }

Result<void> check_list(std::string_view text, const json::Value& headers) {
  const ListFormat format = read_list_format(text);
  TRY_ASSIGN(const Tree tree, parse(format.text));
  return FieldCheck(format.text, headers).nodes(tree.nodes, true);
}

}  // namespace bulkhead::templates
