// What the listings of images share: rows of named values, as a table, as JSON, or by a template.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli::engine {

struct Column {
  std::string_view name;    // of the field in templates: "ID"
  std::string_view header;  // "IMAGE ID"
};

class Listing {
 public:
  // All fields that a row has, and which of them the table shows.
  enum class Kind { kPlain, kLabelled };  // whether rows have labels
  Listing(std::vector<Column> fields, std::vector<std::string_view> shown, Kind kind = Kind::kPlain)
      : fields_(std::move(fields)), shown_(std::move(shown)), kind_(kind) {}

  // One value for each field; and what {{.Label "KEY"}} of a template looks into.
  using Labels = std::map<std::string, std::string>;
  void add(std::vector<std::string> row, Labels labels = {}) {
    rows_.push_back(std::move(row));
    labels_.push_back(std::move(labels));
  }

  // "" or "table", "json" (one object for each line), a template, or "table" and a template, whose
  // fields then are the columns (separated by \t).
  Result<std::string> text(std::string_view format) const;

 private:
  std::string as_json(const std::vector<std::string>& row, const Labels* labels = nullptr) const;
  std::string whole_table() const;
  Result<std::string> by_template(std::string_view text, bool table) const;

  std::vector<Column> fields_;
  std::vector<std::string_view> shown_;
  Kind kind_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<Labels> labels_;  // of each row
};

}  // namespace bulkhead::cli::engine
