#include "cli/runtime/flags.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::cli {
namespace {

bool takes_value(const Flag& flag) {
  return !std::holds_alternative<bool*>(flag.target) &&
         !std::holds_alternative<std::optional<bool>*>(flag.target);
}

std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view yes : {"true", "TRUE", "True", "t", "T", "1"})
    if (text == yes) return true;
  for (const std::string_view no : {"false", "FALSE", "False", "f", "F", "0"})
    if (text == no) return false;
  return std::nullopt;
}

std::unexpected<Error> invalid_value(const Flag& flag, std::string_view value,
                                     std::string_view why) {
  return fail(ErrorKind::kUsage, "invalid value " + quoted(value) + " for flag -" +
                                     std::string(flag.name) + ": " + std::string(why));
}

struct Store {
  const Flag& flag;
  std::string_view value;

  Result<void> operator()(bool* target) const {
    const auto parsed = parse_bool(value);
    if (!parsed) return invalid_value(flag, value, "true or false is expected");
    *target = *parsed;
    return {};
  }
  Result<void> operator()(std::optional<bool>* target) const {
    bool parsed = false;
    TRY((*this)(&parsed));
    *target = parsed;
    return {};
  }
  Result<void> operator()(std::string* target) const {
    *target = value;
    return {};
  }
  Result<void> operator()(std::optional<std::string>* target) const {
    *target = std::string(value);
    return {};
  }
  Result<void> operator()(std::uint32_t* target) const {
    const auto parsed = parse_number<std::uint32_t>(value);
    if (!parsed) return invalid_value(flag, value, "a number is expected");
    *target = *parsed;
    return {};
  }
  Result<void> operator()(std::vector<std::string>* target) const {
    target->emplace_back(value);
    return {};
  }
};

const Flag* find(std::span<const Flag> flags, std::string_view name) {
  const auto found = std::ranges::find_if(flags, [&](const Flag& flag) {
    return flag.name == name || (name.size() == 1 && flag.letter == name.front());
  });
  return found == flags.end() ? nullptr : &*found;
}

bool is_help(std::string_view name) { return name == "help" || name == "h"; }

// "-it": every letter a flag of its own, all but the last without a value.
bool is_letter_group(std::span<const Flag> flags, std::string_view word) {
  if (!word.starts_with('-') || word.starts_with("--") || word.size() < 3) return false;
  word.remove_prefix(1);
  return std::ranges::all_of(word, [&](const char& letter) {
    const Flag* flag = find(flags, std::string_view(&letter, 1));
    return flag != nullptr && (!takes_value(*flag) || &letter == &word.back());
  });
}

class Parser {
 public:
  Parser(std::span<const Flag> flags, std::span<const std::string_view> words)
      : flags_(flags), words_(words) {}

  Result<Parsed> parse(Order order) {
    while (next_ < words_.size()) {
      const std::string_view word = words_[next_++];
      if (word == "--") {
        take_rest();
      } else if (!word.starts_with('-') || word == "-") {
        parsed_.arguments.push_back(word);
        if (order == Order::kBeforeArguments) take_rest();
      } else {
        TRY(take_flag(word));
      }
    }
    return std::move(parsed_);
  }

 private:
  void take_rest() {
    parsed_.arguments.insert(parsed_.arguments.end(),
                             words_.begin() + static_cast<std::ptrdiff_t>(next_), words_.end());
    next_ = words_.size();
  }

  Result<void> take_flag(std::string_view word) {
    std::string_view rest = word;
    rest.remove_prefix(rest.starts_with("--") ? 2 : 1);
    const bool has_value = rest.find('=') != std::string_view::npos;
    const std::string_view name = next_field(rest, '=');
    const Flag* flag = find(flags_, name);
    if (flag != nullptr) return take_value(*flag, has_value ? std::optional(rest) : std::nullopt);
    if (is_help(name)) {
      parsed_.help = true;
      return {};
    }
    if (!is_letter_group(flags_, word))
      return fail(ErrorKind::kUsage, "flag provided but not defined: -" + std::string(name));
    for (const char& letter : word.substr(1))
      TRY(take_value(*find(flags_, {&letter, 1}), std::nullopt));
    return {};
  }

  Result<void> take_value(const Flag& flag, std::optional<std::string_view> value) {
    if (!value && takes_value(flag)) {
      if (next_ == words_.size())
        return fail(ErrorKind::kUsage, "flag needs an argument: -" + std::string(flag.name));
      value = words_[next_++];
    }
    return std::visit(Store{flag, value.value_or("true")}, flag.target);
  }

  std::span<const Flag> flags_;
  std::span<const std::string_view> words_;
  std::size_t next_ = 0;
  Parsed parsed_;
};

}  // namespace

Result<Parsed> parse_flags(std::span<const Flag> flags, std::span<const std::string_view> words,
                           Order order) {
  return Parser(flags, words).parse(order);
}

std::string describe_flags(std::span<const Flag> flags) {
  constexpr std::size_t kColumn = 34;
  std::string out;
  for (const Flag& flag : flags) {
    if (flag.help.empty()) continue;
    std::string line = flag.letter != 0 ? std::string("  -") + flag.letter + ", --" : "      --";
    line += flag.name;
    if (takes_value(flag)) line.append(" ").append(flag.value_name);
    if (line.size() + 2 > kColumn) {
      out.append(line).append("\n").append(kColumn, ' ');
    } else {
      out.append(line).append(kColumn - line.size(), ' ');
    }
    out.append(flag.help).append("\n");
  }
  return out;
}

}  // namespace bulkhead::cli
