// A template, understood.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::templates {

struct Pipeline;

enum class OperandKind {
  kDot,
  kNil,
  kBoolean,
  kInteger,
  kFraction,
  kString,
  kField,     // of the dot; its name is the first of `fields`
  kVariable,  // `text` with the "$"
  kFunction,
  kPipeline,  // in parentheses
};

struct Name {
  std::size_t at = 0;
  std::string text;
};

struct Operand {
  OperandKind kind{};
  std::size_t at = 0;
  std::string text;
  std::int64_t integer = 0;
  std::vector<Name> fields;  // .A.B after it
  std::unique_ptr<Pipeline> pipeline;
};

// What stands first may be a function; the others are its arguments.
struct Command {
  std::size_t at = 0;
  std::vector<Operand> operands;
};

struct Pipeline {
  std::size_t at = 0;
  std::vector<Name> variables;  // at most one; two in a range
  bool assigns = false;         // "=", not ":="
  std::vector<Command> commands;
};

enum class NodeKind { kText, kAction, kIf, kRange, kWith, kBreak, kContinue };

struct Node {
  NodeKind kind{};
  std::string_view text;  // into the source
  Pipeline pipeline;
  std::vector<Node> body;
  std::vector<Node> otherwise;
};

// The source must outlive the tree.
struct Tree {
  std::string_view source;
  std::vector<Node> nodes;
};

Result<Tree> parse(std::string_view source);

}  // namespace bulkhead::templates
