#include "cli/bulkhead/template.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "json/writer.h"

namespace bulkhead::cli::engine {
namespace {

std::unexpected<Error> refuse(std::string why, std::string hint = {}) {
  return fail(ErrorKind::kUsage, "--format: " + std::move(why), std::move(hint));
}

std::string json_of(const json::Value& value) {
  std::string out;
  json::Writer(out).value(value);
  return out;
}

// As Go prints it by itself: texts plainly, lists in brackets, maps as map[key:value].
std::string plain(const json::Value& value) {
  switch (value.type()) {
    case json::Type::kString: return std::string(value.as_string());
    case json::Type::kNull: return "<nil>";
    case json::Type::kArray: {
      std::string out = "[";
      for (const json::Value& item : value.items())
        out.append(out.size() == 1 ? "" : " ").append(plain(item));
      return out + "]";
    }
    case json::Type::kObject: {
      std::vector<std::string> members;
      for (const json::Member& member : value.members())
        members.push_back(std::string(member.key) + ":" + plain(member.value));
      std::ranges::sort(members);
      std::string out = "map[";
      for (const std::string& member : members)
        out.append(out.size() == 4 ? "" : " ").append(member);
      return out + "]";
    }
    default: return json_of(value);
  }
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char next = text[++i];
    if (next == 't')
      out += '\t';
    else if (next == 'n')
      out += '\n';
    else
      out.append({'\\', next});
  }
  return out;
}

std::string field_list(const json::Value& object) {
  std::string names;
  for (const json::Member& member : object.members())
    names.append(names.empty() ? "" : ", ").append(member.key);
  return names;
}

Result<json::Value> follow(const std::vector<std::string>& path, const json::Value& value) {
  json::Value at = value;
  for (const std::string& step : path) {
    const json::Value* const found = at.type() == json::Type::kObject ? at.find(step) : nullptr;
    if (found == nullptr)
      return refuse("there is no field " + quoted(step, 64),
                    at.type() == json::Type::kObject ? "there are: " + field_list(at)
                                                     : "what it is asked of has no fields");
    at = *found;
  }
  return at;
}

}  // namespace

Result<Template::Part> Template::parse_action(std::string_view action) {
  constexpr std::array<std::pair<std::string_view, Function>, 6> kFunctions{
      {{"json", Function::kJson},
       {"len", Function::kLength},
       {"index", Function::kIndex},
       {"join", Function::kJoin},
       {"upper", Function::kUpper},
       {"lower", Function::kLower}}};
  Part part;
  part.is_field = true;
  std::string_view rest = trim(action);
  std::string_view word = next_field(rest, ' ');
  if (!word.starts_with('.')) {
    const auto found =
        std::ranges::find(kFunctions, word, [](const auto& each) { return each.first; });
    if (found == kFunctions.end())
      return refuse("{{" + std::string(action) + "}} is not supported",
                    "there are {{.Field}} and the functions json, len, index, join, upper and "
                    "lower");
    part.function = found->second;
    rest = trim(rest);
    word = next_field(rest, ' ');
  }
  if (!word.starts_with('.'))
    return refuse("{{" + std::string(action) + "}}: a field is expected, such as .ID");
  if (word != ".")
    for (const std::string_view step : split(word.substr(1), '.')) {
      if (step.empty() || !std::ranges::all_of(step, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_';
          }))
        return refuse("{{" + std::string(action) + "}}: " + quoted(step, 64) +
                      " is no field's name");
      part.path.emplace_back(step);
    }
  rest = trim(rest);
  const bool wants_argument = part.function == Function::kIndex || part.function == Function::kJoin;
  if (wants_argument != !rest.empty())
    return refuse("{{" + std::string(action) +
                  "}}: " + (wants_argument ? "something is missing" : "more than is understood"));
  if (!wants_argument) return part;
  if (rest.size() >= 2 && rest.front() == '"' && rest.back() == '"') {
    part.argument = unescaped(rest.substr(1, rest.size() - 2));
  } else if (part.function == Function::kIndex && parse_number<std::size_t>(rest)) {
    part.argument = rest;
    part.argument_is_number = true;
  } else {
    return refuse("{{" + std::string(action) + "}}: " + quoted(rest, 64) +
                  " is neither a number nor a text in quotes");
  }
  return part;
}

Result<Template> Template::parse(std::string_view text) {
  Template made;
  while (!text.empty()) {
    const std::size_t open = text.find("{{");
    Part literal;
    literal.literal = unescaped(text.substr(0, open));
    if (!literal.literal.empty()) made.parts_.push_back(std::move(literal));
    if (open == std::string_view::npos) break;
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return refuse("a {{ without its }}");
    TRY_ASSIGN(Part part, parse_action(text.substr(open + 2, close - open - 2)));
    made.parts_.push_back(std::move(part));
    text.remove_prefix(close + 2);
  }
  return made;
}

Result<std::string> Template::apply_part(const Part& part, const json::Value& value) {
  TRY_ASSIGN(const json::Value at, follow(part.path, value));
  switch (part.function) {
    case Function::kPlain: return plain(at);
    case Function::kJson: return json_of(at);
    case Function::kLength:
      switch (at.type()) {
        case json::Type::kString: return std::to_string(at.as_string().size());
        case json::Type::kArray: return std::to_string(at.items().size());
        case json::Type::kObject: return std::to_string(at.members().size());
        case json::Type::kNull: return std::string("0");
        default: return refuse("len: a number has no length");
      }
    case Function::kIndex: {
      if (part.argument_is_number) {
        const std::size_t index = *parse_number<std::size_t>(part.argument);
        if (index >= at.items().size())
          return refuse("index: there is no item " + part.argument + ", but " +
                        std::to_string(at.items().size()) + " items");
        return plain(at.items()[index]);
      }
      const json::Value* const found = at.find(part.argument);
      // As Go: what a map has not got is empty.
      return found == nullptr ? std::string() : plain(*found);
    }
    case Function::kJoin: {
      std::string out;
      for (const json::Value& item : at.items())
        out.append(out.empty() ? "" : part.argument).append(plain(item));
      return out;
    }
    case Function::kUpper:
    case Function::kLower: {
      std::string out = plain(at);
      for (char& c : out)
        if (part.function == Function::kUpper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z')
          c = static_cast<char>(c ^ 0x20);
      return out;
    }
  }
  return std::string();
}

Result<std::string> Template::apply(const json::Value& value) const {
  std::string out;
  for (const Part& part : parts_) {
    if (!part.is_field) {
      out += part.literal;
      continue;
    }
    TRY_ASSIGN(const std::string text, apply_part(part, value));
    out += text;
  }
  return out;
}

std::vector<std::string> Template::columns() const {
  std::vector<std::string> names;
  for (const Part& part : parts_)
    if (part.is_field && !part.path.empty()) names.push_back(part.path.front());
  return names;
}

}  // namespace bulkhead::cli::engine
