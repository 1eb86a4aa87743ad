// --format: the part of Go's templates that people use with listings and `inspect`.
//
//   {{.Name}}  {{.A.B}}  {{json .}}  {{json .A}}  {{len .A}}  {{index .A 0}}  {{index .A "key"}}
//   {{join .A ", "}}  {{upper .A}} {{lower .A}}
//
// and "\t" and "\n" between them. Anything else is an error that says so.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace bulkhead::cli::engine {

class Template {
 public:
  // kUsage, naming the place, for what is not understood.
  static Result<Template> parse(std::string_view text);

  // kUsage for a field that the value has not got: it lists those that it has.
  Result<std::string> apply(const json::Value& value) const;

  // The first components of the fields it names, in their order: the columns of a table.
  std::vector<std::string> columns() const;

 private:
  enum class Function { kPlain, kJson, kLength, kIndex, kJoin, kUpper, kLower };
  struct Part {
    std::string literal;
    bool is_field = false;
    Function function = Function::kPlain;
    std::vector<std::string> path;
    std::string argument;
    bool argument_is_number = false;
  };
  static Result<Part> parse_action(std::string_view action);
  static Result<std::string> apply_part(const Part& part, const json::Value& value);

  std::vector<Part> parts_;
};

}  // namespace bulkhead::cli::engine
