#include "storage/registry/challenge.h"

#include <algorithm>

namespace bulkhead::storage {
namespace {

constexpr std::size_t kLongestHeader = 16 * 1024;
constexpr std::size_t kMostChallenges = 8;

// RFC 9110 section 5.6.2.
bool is_token_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  bool skip(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool skip_space() {
    const std::size_t before = rest_.size();
    while (skip(' ') || skip('\t')) {
    }
    return rest_.size() != before;
  }
  // Commas and space between the elements of a list, of which some may be empty.
  void skip_separators() {
    while (skip_space() || skip(',')) {
    }
  }
  std::string_view token() {
    const auto end = std::ranges::find_if_not(rest_, is_token_character);
    const auto size = static_cast<std::size_t>(end - rest_.begin());
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::optional<std::string> quoted_string() {
    if (!skip('"')) return std::nullopt;
    std::string value;
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\') {
        rest_.remove_prefix(1);
        if (rest_.empty()) return std::nullopt;
      }
      const char c = rest_.front();
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E)
        return std::nullopt;
      value += c;
      rest_.remove_prefix(1);
    }
    if (!skip('"')) return std::nullopt;
    return value;
  }
  // "name = value" when one stands here; otherwise nothing is taken.
  bool parameter(std::string& name, std::string& value) {
    const std::string_view saved = rest_;
    name = lower(token());
    skip_space();
    if (name.empty() || !skip('=')) {
      rest_ = saved;
      return false;
    }
    skip_space();
    if (auto text = quoted_string()) {
      value = *std::move(text);
      return true;
    }
    value = token();
    if (!value.empty()) return true;
    rest_ = saved;
    return false;
  }

 private:
  std::string_view rest_;
};

bool is_new(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) == names.end();
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> challenges;
  if (header.size() > kLongestHeader) return challenges;
  Scanner in(header);
  in.skip_separators();
  while (!in.at_end() && challenges.size() < kMostChallenges) {
    const std::string scheme = lower(in.token());
    if (scheme.empty()) return challenges;
    const bool parameters = in.skip_space();
    if (!parameters && !in.at_end() && !in.skip(',')) return challenges;
    Challenge challenge;
    bool sound = true;
    std::vector<std::string> seen;
    std::string name;
    std::string value;
    while (parameters && in.parameter(name, value)) {
      sound = sound && is_new(seen, name);
      seen.push_back(name);
      if (name == "realm") challenge.realm = value;
      if (name == "service") challenge.service = value;
      if (name == "scope") challenge.scope = value;
      if (name == "error") challenge.error = value;
      in.skip_separators();
    }
    if (scheme == "bearer") {
      challenge.scheme = Challenge::Scheme::kBearer;
      sound = sound && !challenge.realm.empty();
    } else if (scheme != "basic") {
      sound = false;
    }
    if (sound) challenges.push_back(std::move(challenge));
    in.skip_separators();
  }
  return challenges;
}

std::optional<Challenge> choose_challenge(const std::vector<Challenge>& challenges) {
  const auto bearer = std::ranges::find(challenges, Challenge::Scheme::kBearer, &Challenge::scheme);
  if (bearer != challenges.end()) return *bearer;
  if (!challenges.empty()) return challenges.front();
  return std::nullopt;
}

}  // namespace bulkhead::storage
