// The functions of templates: Go's own and Docker's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "json/value.h"

namespace bulkhead::templates {

inline constexpr std::size_t kNoMost = static_cast<std::size_t>(-1);

// What functions make lives as long as this.
class Workshop {
 public:
  json::Value string(std::string_view text);
  json::Value array(std::span<const json::Value> items);
  // Bytes that were made; the evaluator bounds them.
  std::size_t made() const { return made_; }

 private:
  json::Arena arena_;
  std::size_t made_ = 0;
};

struct FunctionResult {
  json::Value value;
  std::string error;  // empty: it went well
};

struct Function {
  std::string_view name;
  std::size_t least = 0;  // arguments
  std::size_t most = kNoMost;
  std::string_view usage;  // "join LIST SEPARATOR"
  // In a line of headers functions that change a text leave it as it is.
  bool keeps_headers = false;
  FunctionResult (*call)(Workshop& workshop, std::span<const json::Value> arguments) = nullptr;
};

// `and` and `or` are known, but the evaluator carries them out: they look at no more than they must.
const Function* find_function(std::string_view name);
std::span<const Function> functions();

}  // namespace bulkhead::templates
