#include "cli/bulkhead/options.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::cli::engine {
namespace {

constexpr std::size_t kHelpColumn = 30;

// How many letters must change: for "did you mean".
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

class Parser {
 public:
  Parser(const OptionTable& table, std::span<const std::string_view> words)
      : table_(table), rest_(words) {}

  Result<Words> run(Positionals positionals) {
    while (!rest_.empty()) {
      const std::string_view word = take();
      if (word == "--") {
        take_all();
      } else if (word.starts_with("--")) {
        TRY(long_option(word.substr(2)));
      } else if (word.size() > 1 && word.front() == '-') {
        TRY(letters(word.substr(1)));
      } else {
        words_.positional.emplace_back(word);
        if (positionals == Positionals::kEndOptions) take_all();
      }
    }
    return std::move(words_);
  }

 private:
  std::string_view take() {
    const std::string_view word = rest_.front();
    rest_ = rest_.subspan(1);
    return word;
  }
  void take_all() {
    words_.positional.insert(words_.positional.end(), rest_.begin(), rest_.end());
    rest_ = {};
  }

  Result<void> long_option(std::string_view word) {
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const auto found = std::ranges::find(table_.options, name, &Option::name);
    if (found == table_.options.end()) {
      if (name == "help") {
        words_.help = true;
        return {};
      }
      return unknown("--" + std::string(name),
                     std::ranges::find(table_.unsupported, name, &Unsupported::name));
    }
    if (equals != std::string_view::npos) return store(*found, word.substr(equals + 1));
    return with_next_word(*found, "--" + std::string(name));
  }

  // "it", "m512m", "e": letters without values, then one that may take the rest as its own.
  Result<void> letters(std::string_view word) {
    while (!word.empty()) {
      const char letter = word.front();
      word.remove_prefix(1);
      const auto found = std::ranges::find(table_.options, letter, &Option::letter);
      const std::string text = std::string("-") + letter;
      if (found == table_.options.end()) {
        if (letter == 'h') {
          words_.help = true;
          continue;
        }
        return unknown(text, std::ranges::find(table_.unsupported, letter, &Unsupported::letter));
      }
      if (!takes_value(*found)) {
        TRY(store(*found, "true"));
        continue;
      }
      if (word.empty()) return with_next_word(*found, text);
      return store(*found, word.starts_with('=') ? word.substr(1) : word);
    }
    return {};
  }

  Result<void> with_next_word(const Option& option, const std::string& text) {
    if (!takes_value(option)) return store(option, "true");
    if (rest_.empty())
      return fail(ErrorKind::kUsage, text + " needs a value: " + std::string(option.value_name));
    return store(option, take());
  }

  Result<void> store(const Option& option, std::string_view value) {
    if (auto* const flag = std::get_if<bool*>(&option.target)) {
      const auto parsed = parse_bool(value);
      if (!parsed)
        return fail(ErrorKind::kUsage, "--" + std::string(option.name) + " " + quoted(value) +
                                           ": true or false is expected");
      **flag = *parsed;
    } else if (auto* const text = std::get_if<std::string*>(&option.target)) {
      **text = value;
    } else if (auto* const maybe = std::get_if<std::optional<std::string>*>(&option.target)) {
      **maybe = std::string(value);
    } else {
      std::get<std::vector<std::string>*>(option.target)->emplace_back(value);
    }
    return {};
  }

  Result<void> unknown(const std::string& word,
                       std::span<const Unsupported>::iterator of_docker) const {
    if (of_docker != table_.unsupported.end())
      return fail(ErrorKind::kUsage,
                  "the option " + word + " is not supported: " + std::string(of_docker->why),
                  std::string(of_docker->instead));
    const Option* nearest = nullptr;
    std::size_t least = 3;
    for (const Option& option : table_.options) {
      const std::size_t away =
          distance(word.substr(std::min<std::size_t>(2, word.size())), option.name);
      if (away < least) {
        least = away;
        nearest = &option;
      }
    }
    return fail(ErrorKind::kUsage, "unknown option " + quoted(word),
                nearest != nullptr ? "did you mean --" + std::string(nearest->name) + "?"
                                   : "--help lists the options");
  }

  const OptionTable& table_;
  std::span<const std::string_view> rest_;
  Words words_;
};

}  // namespace

Result<Words> parse(const OptionTable& table, std::span<const std::string_view> words,
                    Positionals positionals) {
  return Parser(table, words).run(positionals);
}

bool takes_value(const Option& option) { return !std::holds_alternative<bool*>(option.target); }

std::string describe(std::span<const Option> options) {
  std::string out;
  for (const Option& option : options) {
    if (option.help.empty()) continue;
    if (!option.heading.empty())
      out.append(out.empty() ? "" : "\n").append(option.heading).append(":\n");
    std::string line = option.letter != 0 ? std::string("  -") + option.letter + ", " : "      ";
    line.append("--").append(option.name);
    if (takes_value(option)) line.append(" ").append(option.value_name);
    if (line.size() + 2 > kHelpColumn)
      line.append("\n").append(kHelpColumn, ' ');
    else
      line.append(kHelpColumn - line.size(), ' ');
    out.append(line).append(option.help).append("\n");
  }
  return out;
}

}  // namespace bulkhead::cli::engine
