#include "cli/bulkhead/listing.h"

#include <algorithm>

#include "base/text.h"
#include "cli/bulkhead/table.h"
#include "json/parse.h"
#include "json/writer.h"
#include "template/template.h"

namespace bulkhead::cli::engine {

std::string Listing::as_json(const std::vector<std::string>& row, const Labels* labels) const {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  for (std::size_t i = 0; i < fields_.size(); ++i) writer.member(fields_[i].name, row[i]);
  if (labels != nullptr) {
    writer.key("Label()");
    writer.begin_object();
    for (const auto& [key, value] : *labels) writer.member(key, value);
    writer.end_object();
  }
  writer.end_object();
  return out;
}

std::string Listing::whole_table() const {
  std::vector<std::size_t> places;
  std::vector<TableRow> table(1);
  for (const std::string_view name : shown_) {
    const auto found = std::ranges::find(fields_, name, &Column::name);
    places.push_back(static_cast<std::size_t>(found - fields_.begin()));
    table[0].emplace_back(found->header);
  }
  for (const std::vector<std::string>& row : rows_) {
    TableRow cells;
    for (const std::size_t place : places) cells.push_back(printable(row[place]));
    table.push_back(std::move(cells));
  }
  return as_table(table);
}

Result<std::string> Listing::by_template(std::string_view text, bool table) const {
  std::string names;
  json::Writer writer(names);
  writer.begin_object();
  for (const Column& field : fields_) writer.member(field.name, field.header);
  if (kind_ == Kind::kLabelled) {
    writer.key("Label()");
    writer.begin_object();
    writer.end_object();
  }
  writer.end_object();
  TRY_ASSIGN(const json::Document headers, json::parse(names));
  TRY_WITHIN("--format", templates::check_list(text, headers.root()));
  std::vector<json::Document> documents;
  std::vector<json::Value> rows;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    std::vector<std::string> row = rows_[i];
    Labels labels = labels_[i];
    // What came from images must not move the columns of a table, nor steer a terminal.
    if (table)
      for (std::string& cell : row) cell = printable(cell);
    if (table)
      for (auto& [key, value] : labels) value = printable(value);
    TRY_ASSIGN(json::Document document,
               json::parse(as_json(row, kind_ == Kind::kLabelled ? &labels : nullptr)));
    rows.push_back(document.root());
    documents.push_back(std::move(document));
  }
  auto out = templates::render_list(text, rows, headers.root());
  if (!out) return std::unexpected(std::move(out).error().within("--format"));
  return out;
}

Result<std::string> Listing::text(std::string_view format) const {
  if (format.empty() || format == "table") return whole_table();
  if (format == "json") {
    std::string out;
    for (const std::vector<std::string>& row : rows_) out.append(as_json(row)).append("\n");
    return out;
  }
  if (format.starts_with("table ")) return by_template(format, true);
  if (format.find("{{") == std::string_view::npos)
    return fail(ErrorKind::kUsage, "--format " + quoted(format) + ": no such format",
                "table, json, or a template such as '{{.ID}} {{.Size}}'");
  return by_template(format, false);
}

}  // namespace bulkhead::cli::engine
