#include "template/functions.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/text.h"
#include "template/print.h"

namespace bulkhead::templates {
namespace {

using json::Type;
using json::Value;
using Arguments = std::span<const Value>;

constexpr std::int64_t kMostPadding = 10'000;

FunctionResult wrong(std::string what) { return {Value(), std::move(what)}; }
FunctionResult made(const Value& value) { return {value, {}}; }
std::string kind_of(const Value& value) { return std::string(json::type_name(value.type())); }

// --- comparing ----------------------------------------------------------------------------------

bool is_number(const Value& value) {
  return value.type() == Type::kInteger || value.type() == Type::kFraction;
}

int order_of(double a, double b) { return a < b ? -1 : a > b ? 1 : 0; }

int order_of_integers(const Value& a, const Value& b) {
  const auto left = a.as_int64();
  const auto right = b.as_int64();
  if (left && right) return *left < *right ? -1 : *left > *right ? 1 : 0;
  // One that does not fit is larger than any that does.
  if (left || right) return left ? -1 : 1;
  return *a.as_uint64() < *b.as_uint64() ? -1 : *a.as_uint64() > *b.as_uint64() ? 1 : 0;
}

// Nothing when they cannot be compared.
std::optional<int> order(const Value& a, const Value& b) {
  if (a.type() == Type::kInteger && b.type() == Type::kInteger) return order_of_integers(a, b);
  if (is_number(a) && is_number(b)) return order_of(to_double(a), to_double(b));
  if (a.type() != b.type()) return std::nullopt;
  if (a.type() == Type::kString) {
    const int order = a.as_string().compare(b.as_string());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (a.type() == Type::kBoolean)
    return static_cast<int>(a.as_boolean()) - static_cast<int>(b.as_boolean());
  return a.is_null() ? std::optional(0) : std::nullopt;
}

bool is_collection(const Value& value) {
  return value.type() == Type::kArray || value.type() == Type::kObject;
}

FunctionResult equal(Workshop&, Arguments arguments) {
  const Value& first = arguments.front();
  if (is_collection(first)) return wrong("a list or a map cannot be compared");
  bool found = false;
  for (const Value& other : arguments.subspan(1)) {
    if (is_collection(other)) return wrong("a list or a map cannot be compared");
    // Nothing equals nothing alone.
    if (first.is_null() != other.is_null()) continue;
    const auto result = order(first, other);
    if (!result) return wrong(kind_of(first) + " and " + kind_of(other) + " cannot be compared");
    found = found || *result == 0;
  }
  return made(Value::boolean(found));
}

FunctionResult not_equal(Workshop& workshop, Arguments arguments) {
  FunctionResult result = equal(workshop, arguments);
  if (result.error.empty()) result.value = Value::boolean(!result.value.as_boolean());
  return result;
}

template <bool (*Wanted)(int)>
FunctionResult ordered(Workshop&, Arguments arguments) {
  const Value& a = arguments[0];
  const Value& b = arguments[1];
  const auto result = order(a, b);
  if (!result || a.type() == Type::kBoolean || a.is_null())
    return wrong(kind_of(a) + " and " + kind_of(b) + " have no order");
  return made(Value::boolean(Wanted(*result)));
}
bool less(int order) { return order < 0; }
bool at_most(int order) { return order <= 0; }
bool more(int order) { return order > 0; }
bool at_least(int order) { return order >= 0; }

FunctionResult negate(Workshop&, Arguments arguments) {
  const Value& value = arguments.front();
  const bool truth =
      value.type() == Type::kBoolean   ? value.as_boolean()
      : value.type() == Type::kInteger ? value.as_int64() != 0
      : value.type() == Type::kFraction
          ? to_double(value) != 0
          : !value.as_string().empty() || !value.items().empty() || !value.members().empty();
  return made(Value::boolean(!truth));
}

// --- looking into values --------------------------------------------------------------------------

FunctionResult length(Workshop&, Arguments arguments) {
  const Value& value = arguments.front();
  if (value.type() == Type::kString) return made(Value::natural(value.as_string().size()));
  if (value.type() == Type::kArray) return made(Value::natural(value.items().size()));
  if (value.type() == Type::kObject) return made(Value::natural(value.members().size()));
  return wrong(kind_of(value) + " has no length");
}

FunctionResult index(Workshop&, Arguments arguments) {
  Value value = arguments.front();
  for (const Value& key : arguments.subspan(1)) {
    if (value.type() == Type::kArray || value.type() == Type::kString) {
      const auto at = key.as_int64();
      const auto size =
          value.type() == Type::kArray ? value.items().size() : value.as_string().size();
      if (!at) return wrong("a list is indexed by a number, not by " + kind_of(key));
      if (*at < 0 || static_cast<std::uint64_t>(*at) >= size)
        return wrong("the index " + std::to_string(*at) + " is beyond the " + std::to_string(size) +
                     " elements");
      const auto place = static_cast<std::size_t>(*at);
      value = value.type() == Type::kArray
                  ? value.items()[place]
                  : Value::natural(static_cast<unsigned char>(value.as_string()[place]));
    } else if (value.type() == Type::kObject) {
      if (key.type() != Type::kString)
        return wrong("a map is indexed by a string, not by " + kind_of(key));
      const Value* const found = value.find(key.as_string());
      // A map of strings (labels, options) answers with an empty one, as Go's does.
      const bool strings = std::ranges::all_of(value.members(), [](const json::Member& member) {
        return member.value.type() == Type::kString;
      });
      value = found != nullptr ? *found : strings ? Value::string("") : Value();
    } else {
      return wrong(kind_of(value) + " cannot be indexed");
    }
  }
  return made(value);
}

FunctionResult slice(Workshop& workshop, Arguments arguments) {
  const Value& value = arguments.front();
  const bool text = value.type() == Type::kString;
  if (!text && value.type() != Type::kArray) return wrong(kind_of(value) + " cannot be sliced");
  const std::size_t size = text ? value.as_string().size() : value.items().size();
  std::size_t bounds[2] = {0, size};
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const auto bound = arguments[i].as_int64();
    if (!bound || *bound < 0 || static_cast<std::uint64_t>(*bound) > size)
      return wrong("a bound must be a number from 0 to " + std::to_string(size));
    bounds[i - 1] = static_cast<std::size_t>(*bound);
  }
  if (bounds[0] > bounds[1]) return wrong("the first bound is beyond the second");
  if (text)
    return made(workshop.string(value.as_string().substr(bounds[0], bounds[1] - bounds[0])));
  return made(Value::array(value.items().subspan(bounds[0], bounds[1] - bounds[0])));
}

// --- printing -------------------------------------------------------------------------------------

FunctionResult print_values(Workshop& workshop, Arguments arguments) {
  return made(workshop.string(print(arguments)));
}
FunctionResult print_values_line(Workshop& workshop, Arguments arguments) {
  return made(workshop.string(print_line(arguments)));
}
FunctionResult print_values_format(Workshop& workshop, Arguments arguments) {
  if (arguments.front().type() != Type::kString)
    return wrong("the format must be a string, not " + kind_of(arguments.front()));
  return made(workshop.string(print_format(arguments.front().as_string(), arguments.subspan(1))));
}
FunctionResult as_json(Workshop& workshop, Arguments arguments) {
  return made(workshop.string(to_json(arguments.front())));
}

FunctionResult html(Workshop& workshop, Arguments arguments) {
  std::string out;
  for (const char c : print(arguments)) {
    switch (c) {
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\0': out += "\uFFFD"; break;
      default: out += c;
    }
  }
  return made(workshop.string(out));
}

FunctionResult url_query(Workshop& workshop, Arguments arguments) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : print(arguments)) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (plain)
      out += c;
    else if (c == ' ')
      out += '+';
    else
      out.append("%").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
  }
  return made(workshop.string(out));
}

// --- Docker's -------------------------------------------------------------------------------------

std::optional<std::string_view> text_of(const Value& value) {
  if (value.type() != Type::kString) return std::nullopt;
  return value.as_string();
}

FunctionResult not_a_string(const Value& value) {
  return wrong("a string is expected, not " + kind_of(value));
}

FunctionResult join(Workshop& workshop, Arguments arguments) {
  const auto separator = text_of(arguments[1]);
  if (!separator) return wrong("the separator must be a string, not " + kind_of(arguments[1]));
  if (arguments[0].type() != Type::kArray && !arguments[0].is_null())
    return wrong("a list is expected, not " + kind_of(arguments[0]));
  std::string out;
  bool first = true;
  for (const Value& item : arguments[0].items()) {
    if (item.type() != Type::kString)
      return wrong("a list of strings is expected, and in it is " + kind_of(item));
    if (!first) out += *separator;
    first = false;
    out += item.as_string();
  }
  return made(workshop.string(out));
}

FunctionResult split_text(Workshop& workshop, Arguments arguments) {
  const auto text = text_of(arguments[0]);
  const auto separator = text_of(arguments[1]);
  if (!text) return not_a_string(arguments[0]);
  if (!separator) return not_a_string(arguments[1]);
  std::vector<Value> parts;
  std::string_view rest = *text;
  while (true) {
    // Without a separator: in characters.
    const std::size_t found = separator->empty()
                                  ? std::max<std::size_t>(rest.empty() ? 0 : utf8_length(rest), 1)
                                  : rest.find(*separator);
    if (separator->empty() ? rest.size() <= 1 || found >= rest.size()
                           : found == std::string_view::npos)
      break;
    parts.push_back(Value::string(rest.substr(0, found)));
    rest.remove_prefix(found + separator->size());
  }
  if (!separator->empty() || !rest.empty()) parts.push_back(Value::string(rest));
  return made(workshop.array(parts));
}

template <char First, char Last, int Shift>
std::string shifted(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= First && c <= Last) c = static_cast<char>(c + Shift);
  return out;
}

FunctionResult lower(Workshop& workshop, Arguments arguments) {
  const auto text = text_of(arguments[0]);
  if (!text) return not_a_string(arguments[0]);
  return made(workshop.string(shifted<'A', 'Z', 32>(*text)));
}

FunctionResult upper(Workshop& workshop, Arguments arguments) {
  const auto text = text_of(arguments[0]);
  if (!text) return not_a_string(arguments[0]);
  return made(workshop.string(shifted<'a', 'z', -32>(*text)));
}

FunctionResult title(Workshop& workshop, Arguments arguments) {
  const auto text = text_of(arguments[0]);
  if (!text) return not_a_string(arguments[0]);
  std::string out(*text);
  bool begins = true;
  for (char& c : out) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (begins && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    begins = !letter && !(c >= '0' && c <= '9') && c != '_' && c != '\'' &&
             static_cast<unsigned char>(c) < 0x80;
  }
  return made(workshop.string(out));
}

FunctionResult pad(Workshop& workshop, Arguments arguments) {
  const auto text = text_of(arguments[0]);
  if (!text) return not_a_string(arguments[0]);
  const auto before = arguments[1].as_int64();
  const auto after = arguments[2].as_int64();
  if (!before || !after || *before < 0 || *after < 0 || *before > kMostPadding ||
      *after > kMostPadding)
    return wrong("two numbers of spaces are expected, from 0 to " + std::to_string(kMostPadding));
  if (text->empty()) return made(arguments[0]);
  std::string out(static_cast<std::size_t>(*before), ' ');
  out.append(*text).append(static_cast<std::size_t>(*after), ' ');
  return made(workshop.string(out));
}

FunctionResult truncate(Workshop& workshop, Arguments arguments) {
  const auto text = text_of(arguments[0]);
  if (!text) return not_a_string(arguments[0]);
  const auto most = arguments[1].as_int64();
  if (!most || *most < 0) return wrong("a number of bytes is expected");
  std::size_t size = std::min<std::uint64_t>(static_cast<std::uint64_t>(*most), text->size());
  // Not within a character.
  while (size > 0 && size < text->size() &&
         (static_cast<unsigned char>((*text)[size]) & 0xc0) == 0x80)
    --size;
  return made(workshop.string(text->substr(0, size)));
}

constexpr std::array kFunctions{
    Function{"and", 1, kNoMost, "and A B...", false, nullptr},
    Function{"or", 1, kNoMost, "or A B...", false, nullptr},
    Function{"not", 1, 1, "not A", false, negate},
    Function{"eq", 2, kNoMost, "eq A B...", false, equal},
    Function{"ne", 2, 2, "ne A B", false, not_equal},
    Function{"lt", 2, 2, "lt A B", false, ordered<less>},
    Function{"le", 2, 2, "le A B", false, ordered<at_most>},
    Function{"gt", 2, 2, "gt A B", false, ordered<more>},
    Function{"ge", 2, 2, "ge A B", false, ordered<at_least>},
    Function{"len", 1, 1, "len VALUE", false, length},
    Function{"index", 1, kNoMost, "index VALUE KEY...", true, index},
    Function{"slice", 1, 3, "slice VALUE FROM TO", true, slice},
    Function{"print", 0, kNoMost, "print VALUE...", false, print_values},
    Function{"printf", 1, kNoMost, "printf FORMAT VALUE...", false, print_values_format},
    Function{"println", 0, kNoMost, "println VALUE...", false, print_values_line},
    Function{"html", 1, kNoMost, "html VALUE...", true, html},
    Function{"urlquery", 1, kNoMost, "urlquery VALUE...", true, url_query},
    Function{"json", 1, 1, "json VALUE", true, as_json},
    Function{"join", 2, 2, "join LIST SEPARATOR", true, join},
    Function{"split", 2, 2, "split TEXT SEPARATOR", true, split_text},
    Function{"lower", 1, 1, "lower TEXT", true, lower},
    Function{"upper", 1, 1, "upper TEXT", true, upper},
    Function{"title", 1, 1, "title TEXT", true, title},
    Function{"pad", 3, 3, "pad TEXT SPACES-BEFORE SPACES-AFTER", false, pad},
    Function{"truncate", 2, 2, "truncate TEXT BYTES", true, truncate},
};

}  // namespace

Value Workshop::string(std::string_view text) {
  made_ += text.size();
  return Value::string(arena_.copy(text));
}

Value Workshop::array(std::span<const Value> items) {
  if (items.empty()) return Value::array({});
  made_ += items.size_bytes();
  auto* const copy = static_cast<Value*>(arena_.allocate(items.size_bytes(), alignof(Value)));
  std::uninitialized_copy(items.begin(), items.end(), copy);
  return Value::array({copy, items.size()});
}

const Function* find_function(std::string_view name) {
  const auto found = std::ranges::find(kFunctions, name, &Function::name);
  return found == kFunctions.end() ? nullptr : &*found;
}

std::span<const Function> functions() { return kFunctions; }

}  // namespace bulkhead::templates
