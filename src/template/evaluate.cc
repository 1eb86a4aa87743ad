#include "template/evaluate.h"

#include <algorithm>

#include "base/text.h"
#include "template/functions.h"
#include "template/print.h"
#include "template/source.h"

namespace bulkhead::templates {
namespace {

using json::Type;
using json::Value;

bool is_true(const Value& value) {
  switch (value.type()) {
    case Type::kNull: return false;
    case Type::kBoolean: return value.as_boolean();
    case Type::kInteger: return value.as_int64() != 0;
    case Type::kFraction: return to_double(value) != 0;
    case Type::kString: return !value.as_string().empty();
    case Type::kArray: return !value.items().empty();
    case Type::kObject: return !value.members().empty();
  }
  return false;
}

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::string names_of(const Value& object) {
  std::string names;
  std::size_t count = 0;
  for (const json::Member& member : object.members()) {
    if (++count > 40) return names + " ...";
    std::string_view name = member.key;
    if (is_method(name)) name.remove_suffix(2);
    names.append(names.empty() ? "" : " ").append(quoted(name, 64).substr(1));
    names.pop_back();
  }
  return names;
}

enum class Flow { kOn, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(const Tree& tree, const Value& value, Mode mode) : tree_(tree), mode_(mode) {
    variables_.emplace_back("$", value);
  }

  Result<std::string> run(const Value& value) {
    TRY_ASSIGN(const Flow flow, list(tree_.nodes, value));
    (void)flow;
    return std::move(out_);
  }

 private:
  std::unexpected<Error> wrong(std::size_t at, std::string what, std::string hint = {}) const {
    return std::unexpected(error_at(tree_.source, at, std::move(what), std::move(hint)));
  }

  Result<void> step(std::size_t at) {
    if (++steps_ > kMostSteps || out_.size() > kMostOutput || workshop_.made() > kMostOutput)
      return wrong(at, "the template prints without end: 64 MiB are the limit");
    return {};
  }

  // --- nodes ----------------------------------------------------------------------------------

  Result<Flow> list(const std::vector<Node>& nodes, const Value& dot) {
    for (const Node& node : nodes) {
      TRY_ASSIGN(const Flow flow, one(node, dot));
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  Result<Flow> one(const Node& node, const Value& dot) {
    TRY(step(node.pipeline.at));
    switch (node.kind) {
      case NodeKind::kText: out_ += node.text; return Flow::kOn;
      case NodeKind::kBreak: return Flow::kBreak;
      case NodeKind::kContinue: return Flow::kContinue;
      case NodeKind::kAction: {
        TRY_ASSIGN(const Value value, pipeline(node.pipeline, dot));
        TRY(set_variables(node.pipeline, value));
        if (!node.pipeline.variables.empty()) return Flow::kOn;
        if (value.is_null())
          out_ += "<no value>";
        else
          append_value(out_, value);
        return Flow::kOn;
      }
      case NodeKind::kIf:
      case NodeKind::kWith: return condition(node, dot);
      case NodeKind::kRange: return range(node, dot);
    }
    return Flow::kOn;
  }

  Result<Flow> condition(const Node& node, const Value& dot) {
    const std::size_t scope = variables_.size();
    TRY_ASSIGN(const Value value, pipeline(node.pipeline, dot));
    TRY(set_variables(node.pipeline, value));
    Result<Flow> flow = Flow::kOn;
    if (is_true(value))
      flow = list(node.body, node.kind == NodeKind::kWith ? value : dot);
    else
      flow = list(node.otherwise, dot);
    variables_.resize(scope);
    return flow;
  }

  Result<Flow> range(const Node& node, const Value& dot) {
    const std::size_t scope = variables_.size();
    TRY_ASSIGN(const Value value, pipeline(node.pipeline, dot));
    if (value.type() != Type::kArray && value.type() != Type::kObject && !value.is_null())
      return wrong(node.pipeline.at, "range goes over a list or a map, and this is " +
                                         std::string(type_name(value.type())));
    std::vector<std::pair<Value, Value>> elements;
    for (std::size_t i = 0; i < value.items().size(); ++i)
      elements.emplace_back(Value::natural(i), value.items()[i]);
    for (const json::Member& member : value.members())
      if (!is_method(member.key)) elements.emplace_back(Value::string(member.key), member.value);
    if (value.type() == Type::kObject)
      std::ranges::sort(elements, {}, [](const auto& pair) { return pair.first.as_string(); });
    for (const auto& [key, element] : elements) {
      TRY(step(node.pipeline.at));
      set_range_variables(node.pipeline, key, element);
      auto flow = list(node.body, element);
      variables_.resize(scope);
      if (!flow) return flow;
      if (*flow == Flow::kBreak) break;
    }
    if (elements.empty()) {
      auto flow = list(node.otherwise, dot);
      variables_.resize(scope);
      return flow;
    }
    return Flow::kOn;
  }

  // --- variables ------------------------------------------------------------------------------

  Value& variable(std::string_view name) {
    const auto found = std::ranges::find(variables_.rbegin(), variables_.rend(), name,
                                         &std::pair<std::string_view, Value>::first);
    return found->second;  // the parser has seen to it that it is there
  }

  void set(const Pipeline& pipeline, std::size_t which, const Value& value) {
    if (pipeline.assigns)
      variable(pipeline.variables[which].text) = value;
    else
      variables_.emplace_back(pipeline.variables[which].text, value);
  }

  Result<void> set_variables(const Pipeline& pipeline, const Value& value) {
    if (!pipeline.variables.empty()) set(pipeline, 0, value);
    return {};
  }

  void set_range_variables(const Pipeline& pipeline, const Value& key, const Value& element) {
    if (pipeline.variables.size() == 1) set(pipeline, 0, element);
    if (pipeline.variables.size() == 2) {
      set(pipeline, 0, key);
      set(pipeline, 1, element);
    }
  }

  // --- expressions ----------------------------------------------------------------------------

  Result<Value> pipeline(const Pipeline& pipeline, const Value& dot) {
    Value value;
    for (std::size_t i = 0; i < pipeline.commands.size(); ++i) {
      TRY_ASSIGN(value, command(pipeline.commands[i], dot, i == 0 ? nullptr : &value));
    }
    return value;
  }

  Result<Value> command(const Command& command, const Value& dot, const Value* piped) {
    const Operand& first = command.operands.front();
    if (first.kind == OperandKind::kFunction) return function(command, dot, piped);
    if (command.operands.size() == 1) return operand(first, dot);
    return method(command, dot);
  }

  Result<Value> operand(const Operand& operand, const Value& dot) {
    TRY(step(operand.at));
    switch (operand.kind) {
      case OperandKind::kDot: return dot;
      case OperandKind::kNil: return Value();
      case OperandKind::kBoolean: return Value::boolean(operand.integer != 0);
      case OperandKind::kInteger: return Value::integer(operand.integer);
      case OperandKind::kFraction: return Value::fraction(operand.text);
      case OperandKind::kString: return Value::string(operand.text);
      case OperandKind::kField: return fields(dot, operand.fields);
      case OperandKind::kVariable: return fields(variable(operand.text), operand.fields);
      case OperandKind::kPipeline: {
        TRY_ASSIGN(const Value value, pipeline(*operand.pipeline, dot));
        return fields(value, operand.fields);
      }
      case OperandKind::kFunction: {
        const Function& function = *find_function(operand.text);
        return call(operand.at, function, {});
      }
    }
    return Value();
  }

  Result<Value> fields(Value value, std::span<const Name> names) {
    for (const Name& name : names) {
      TRY_ASSIGN(value, field(value, name));
    }
    return value;
  }

  Result<Value> field(const Value& value, const Name& name) {
    if (value.type() == Type::kObject) {
      if (const Value* const found = value.find(name.text)) return *found;
      if (mode_ == Mode::kHeaders) return workshop_.string(upper(name.text));
      if (value.find(name.text + "()") != nullptr)
        return wrong(name.at,
                     "." + name.text + " wants an argument: {{." + name.text + " \"NAME\"}}");
      // Go's structures export only what begins with an upper-case letter: anything else can only
      // be the key of a map, which may be absent.
      if (!is_upper(name.text.front())) return Value();
      return wrong(name.at, "there is no field " + quoted(name.text),
                   value.members().empty() ? "" : "the fields are: " + names_of(value));
    }
    if (mode_ == Mode::kHeaders) return workshop_.string(upper(name.text));
    if (value.is_null())
      return wrong(name.at, "there is nothing that could have a field " + quoted(name.text),
                   "ask before: {{with ...}}{{." + name.text + "}}{{end}}");
    return wrong(name.at,
                 std::string(json::type_name(value.type())) + " has no field " + quoted(name.text));
  }

  // .Label "name", $x.Label "name"
  Result<Value> method(const Command& command, const Value& dot) {
    const Operand& first = command.operands.front();
    if (first.fields.empty() || command.operands.size() != 2)
      return wrong(command.operands[1].at, "only functions take arguments");
    TRY_ASSIGN(const Value argument, operand(command.operands[1], dot));
    std::string_view key = argument.as_string();
    if (mode_ == Mode::kHeaders) {
      // Of "com.example.role" the last part is what the column is about.
      return workshop_.string(upper(key.substr(key.rfind('.') + 1)));
    }
    Value object = dot;
    if (first.kind == OperandKind::kVariable) object = variable(first.text);
    if (first.kind == OperandKind::kPipeline) {
      TRY_ASSIGN(object, pipeline(*first.pipeline, dot));
    }
    const auto parents = std::span(first.fields).first(first.fields.size() - 1);
    TRY_ASSIGN(object, fields(object, parents));
    const Name& name = first.fields.back();
    const Value* const map = object.find(name.text + "()");
    if (map == nullptr)
      return wrong(command.operands[1].at,
                   "." + name.text + " is not a function: it takes no arguments",
                   "index looks something up: {{index ." + name.text + " KEY}}");
    if (argument.type() != Type::kString)
      return wrong(command.operands[1].at, "a string is expected");
    const Value* const found = map->find(key);
    return found != nullptr ? *found : Value::string("");
  }

  Result<Value> function(const Command& command, const Value& dot, const Value* piped) {
    const Operand& first = command.operands.front();
    const Function& function = *find_function(first.text);
    const std::size_t given = command.operands.size() - 1 + (piped != nullptr ? 1 : 0);
    if (given < function.least || given > function.most)
      return wrong(first.at,
                   function.name.data() + std::string(" is given ") + std::to_string(given) +
                       (given == 1 ? " argument" : " arguments"),
                   "it is used like this: " + std::string(function.usage));
    if (function.call == nullptr) return shortcut(command, dot, piped);
    std::vector<Value> arguments;
    for (std::size_t i = 1; i < command.operands.size(); ++i) {
      TRY_ASSIGN(const Value argument, operand(command.operands[i], dot));
      arguments.push_back(argument);
    }
    if (piped != nullptr) arguments.push_back(*piped);
    return call(first.at, function, arguments);
  }

  // `and` and `or`: the first argument that decides, and none after it is looked at.
  Result<Value> shortcut(const Command& command, const Value& dot, const Value* piped) {
    const bool stop_at = command.operands.front().text == "or";
    Value value;
    for (std::size_t i = 1; i < command.operands.size(); ++i) {
      TRY_ASSIGN(value, operand(command.operands[i], dot));
      if (is_true(value) == stop_at) return value;
    }
    return piped != nullptr ? *piped : value;
  }

  Result<Value> call(std::size_t at, const Function& function, std::span<const Value> arguments) {
    if (arguments.size() < function.least || function.call == nullptr)
      return wrong(at, std::string(function.name) + " needs arguments",
                   "it is used like this: " + std::string(function.usage));
    if (mode_ == Mode::kHeaders && function.keeps_headers) return arguments.front();
    FunctionResult result = function.call(workshop_, arguments);
    if (!result.error.empty())
      return wrong(at, std::string(function.name) + ": " + result.error,
                   "it is used like this: " + std::string(function.usage));
    TRY(step(at));
    return result.value;
  }

  const Tree& tree_;
  Mode mode_;
  Workshop workshop_;
  std::string out_;
  std::size_t steps_ = 0;
  std::vector<std::pair<std::string_view, Value>> variables_;
};

}  // namespace

Result<std::string> evaluate(const Tree& tree, const Value& value, Mode mode) {
  return Evaluator(tree, value, mode).run(value);
}

}  // namespace bulkhead::templates
