// The words of a command line of run, taken apart and put together again.
#include <algorithm>

#include "cli/bulkhead/run_options.h"

namespace bulkhead::cli::engine {
namespace {

class Filter {
 public:
  Filter(std::span<const std::string> words, std::span<const std::string_view> names)
      : rest_(words), names_(names), table_(run_options(options_)) {}

  std::vector<std::string> run() {
    while (!rest_.empty()) {
      const std::string& word = rest_.front();
      if (word == "--" || !word.starts_with('-') || word == "-") break;
      rest_ = rest_.subspan(1);
      if (word.starts_with("--"))
        long_option(word);
      else
        letters(word);
    }
    kept_.insert(kept_.end(), rest_.begin(), rest_.end());
    return std::move(kept_);
  }

 private:
  bool is_unwanted(const Option& option) const {
    return std::ranges::find(names_, option.name) != names_.end();
  }
  const Option* find(auto&& matches) const {
    const auto found = std::ranges::find_if(table_, matches);
    return found == table_.end() ? nullptr : &*found;
  }
  // The value of an option whose own word has been taken.
  void take_value(bool keep) {
    if (rest_.empty()) return;
    if (keep) kept_.push_back(rest_.front());
    rest_ = rest_.subspan(1);
  }

  void long_option(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string_view name = std::string_view(word).substr(2, equals - 2);
    const Option* const option = find([&](const Option& each) { return each.name == name; });
    const bool keep = option == nullptr || !is_unwanted(*option);
    if (keep) kept_.push_back(word);
    if (option != nullptr && takes_value(*option) && equals == std::string::npos) take_value(keep);
  }

  void letters(const std::string& word) {
    std::string kept = "-";
    for (std::size_t i = 1; i < word.size(); ++i) {
      const Option* const option = find([&](const Option& each) { return each.letter == word[i]; });
      const bool keep = option == nullptr || !is_unwanted(*option);
      if (option == nullptr || !takes_value(*option)) {
        if (keep) kept += word[i];
        continue;
      }
      // The rest of the word is its value, or the next word.
      const bool here = i + 1 < word.size();
      if (keep) kept += word.substr(i);
      if (kept.size() > 1) kept_.push_back(kept);
      if (!here) take_value(keep);
      return;
    }
    if (kept.size() > 1) kept_.push_back(kept);
  }

  std::span<const std::string> rest_;
  std::span<const std::string_view> names_;
  bulkhead::engine::RunOptions options_;
  std::vector<Option> table_;
  std::vector<std::string> kept_;
};

}  // namespace

std::vector<std::string> without_options(std::span<const std::string> words,
                                         std::span<const std::string_view> names) {
  return Filter(words, names).run();
}

}  // namespace bulkhead::cli::engine
