#include "cli/bulkhead/listing.h"

#include <algorithm>

#include "base/text.h"
#include "cli/bulkhead/table.h"
#include "cli/bulkhead/template.h"
#include "json/parse.h"
#include "json/writer.h"

namespace bulkhead::cli::engine {

std::string Listing::as_json(const std::vector<std::string>& row) const {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  for (std::size_t i = 0; i < fields_.size(); ++i) writer.member(fields_[i].name, row[i]);
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
  TRY_ASSIGN(const Template format, Template::parse(text));
  // A wrong field is an error without any row, too.
  std::string names = "{";
  for (const Column& field : fields_)
    names.append(names.size() == 1 ? "\"" : ",\"")
        .append(field.name)
        .append("\":\"")
        .append(table ? field.header : std::string_view())
        .append("\"");
  names += "}";
  TRY_ASSIGN(const json::Document headers, json::parse(names));
  TRY_ASSIGN(const std::string header, format.apply(headers.root()));
  std::vector<TableRow> lines;
  const auto add = [&](const std::string& line) {
    TableRow cells;
    for (const std::string_view cell : split(line, '\t')) cells.emplace_back(printable(cell));
    lines.push_back(std::move(cells));
  };
  if (table) add(header);
  std::string out;
  for (const std::vector<std::string>& row : rows_) {
    const std::string object = as_json(row);
    TRY_ASSIGN(const json::Document document, json::parse(object));
    TRY_ASSIGN(const std::string line, format.apply(document.root()));
    if (table)
      add(line);
    else
      out.append(line).append("\n");
  }
  return table ? as_table(lines) : out;
}

Result<std::string> Listing::text(std::string_view format) const {
  if (format.empty() || format == "table") return whole_table();
  if (format == "json") {
    std::string out;
    for (const std::vector<std::string>& row : rows_) out.append(as_json(row)).append("\n");
    return out;
  }
  if (format.starts_with("table ")) return by_template(format.substr(6), true);
  if (format.find("{{") == std::string_view::npos)
    return fail(ErrorKind::kUsage, "--format " + quoted(format) + ": no such format",
                "table, json, or a template such as '{{.ID}} {{.Size}}'");
  return by_template(format, false);
}

}  // namespace bulkhead::cli::engine
