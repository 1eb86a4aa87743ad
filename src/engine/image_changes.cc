#include "engine/image_changes.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "json/parse.h"

namespace bulkhead::engine {
namespace {

std::unexpected<Error> refuse(std::string_view instruction, std::string why,
                              std::string hint = {}) {
  return fail(ErrorKind::kUsage, "--change " + quoted(instruction) + ": " + std::move(why),
              std::move(hint));
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

// Words as a Dockerfile has them: separated by space, with quotes and backslashes.
std::optional<std::vector<std::string>> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != '\'' && c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (is_space(c)) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return std::nullopt;
  if (in_word) words.push_back(std::move(word));
  return words;
}

// A JSON array of texts; nothing when it is something else.
std::optional<std::vector<std::string>> json_words(std::string_view text) {
  if (!text.starts_with('[')) return std::nullopt;
  const auto document = json::parse(text);
  if (!document) return std::nullopt;
  std::vector<std::string> words;
  for (const json::Value& item : document->root().items()) {
    if (item.type() != json::Type::kString) return std::nullopt;
    words.emplace_back(item.as_string());
  }
  return words;
}

// The exec form, or else the shell form.
std::vector<std::string> command_of(std::string_view text) {
  if (auto words = json_words(text)) return *std::move(words);
  return {"/bin/sh", "-c", std::string(text)};
}

struct Pair {
  std::string key;
  std::string value;
};

// "A=1 B='two words'", or in the old form "A everything else".
Result<std::vector<Pair>> pairs_of(std::string_view instruction, std::string_view text) {
  const auto words = words_of(text);
  if (!words) return refuse(instruction, "a quotation mark is missing");
  if (words->empty()) return refuse(instruction, "NAME=VALUE is expected");
  std::vector<Pair> pairs;
  if (words->front().find('=') == std::string::npos) {
    const std::size_t end = text.find_first_of(" \t");
    if (end == std::string_view::npos) return refuse(instruction, "NAME=VALUE is expected");
    pairs.push_back({std::string(text.substr(0, end)), std::string(trim(text.substr(end)))});
    return pairs;
  }
  for (const std::string& word : *words) {
    const std::size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos)
      return refuse(instruction, quoted(word) + " is not NAME=VALUE");
    pairs.push_back({word.substr(0, equals), word.substr(equals + 1)});
  }
  return pairs;
}

void set_variable(std::vector<std::string>& env, const Pair& pair) {
  const std::string start = pair.key + "=";
  const auto found =
      std::ranges::find_if(env, [&](const std::string& entry) { return entry.starts_with(start); });
  if (found == env.end())
    env.push_back(start + pair.value);
  else
    *found = start + pair.value;
}

bool is_port(std::string_view text) {
  std::string_view protocol = text;
  const std::string_view port = next_field(protocol, '/');
  const auto number = parse_number<unsigned>(port);
  return number && *number >= 1 && *number <= 65535 &&
         (protocol == "tcp" || protocol == "udp" || protocol == "sctp");
}

}  // namespace

Result<void> apply_change(std::string_view instruction, oci::ExecutionParameters& config) {
  const std::string_view text = trim(instruction);
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  std::string name(text.substr(0, end));
  for (char& c : name)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  const std::string_view rest = trim(text.substr(end));
  if (rest.empty()) return refuse(instruction, "something is missing after " + quoted(name, 32));

  if (name == "CMD") {
    config.cmd = command_of(rest);
  } else if (name == "ENTRYPOINT") {
    config.entrypoint = command_of(rest);
    config.cmd.clear();
  } else if (name == "ENV") {
    TRY_ASSIGN(const std::vector<Pair> pairs, pairs_of(instruction, rest));
    for (const Pair& pair : pairs) set_variable(config.env, pair);
  } else if (name == "LABEL") {
    TRY_ASSIGN(const std::vector<Pair> pairs, pairs_of(instruction, rest));
    for (const Pair& pair : pairs) config.labels.insert_or_assign(pair.key, pair.value);
  } else if (name == "EXPOSE") {
    for (const std::string_view word : split(rest, ' ')) {
      if (word.empty()) continue;
      std::string port(word);
      if (port.find('/') == std::string::npos) port += "/tcp";
      if (!is_port(port)) return refuse(instruction, quoted(word) + " is not PORT[/PROTOCOL]");
      config.exposed_ports.try_emplace(port);
    }
  } else if (name == "USER") {
    config.user = rest;
  } else if (name == "WORKDIR") {
    if (!rest.starts_with('/')) return refuse(instruction, "an absolute path is expected");
    config.working_dir = rest;
  } else if (name == "STOPSIGNAL") {
    config.stop_signal = rest;
  } else if (name == "VOLUME") {
    auto paths = json_words(rest);
    if (!paths) paths = words_of(rest);
    if (!paths || paths->empty()) return refuse(instruction, "a path is expected");
    for (const std::string& path : *paths) {
      if (!path.starts_with('/')) return refuse(instruction, quoted(path) + " is not absolute");
      config.volumes.try_emplace(path);
    }
  } else {
    return refuse(instruction, quoted(name, 32) + " is not supported",
                  "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR are");
  }
  return {};
}

}  // namespace bulkhead::engine
