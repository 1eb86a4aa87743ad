#include "engine/log_choice.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "base/text.h"
#include "engine/values.h"
#include "json/parse.h"
#include "json/writer.h"
#include "supervise/journal_log.h"
#include "template/template.h"

namespace bulkhead::engine {
namespace {

using supervise::LogDriver;
using supervise::LogSettings;

// A program that never stops talking does not fill the disk.
constexpr std::int64_t kDefaultLogBytes = 100 << 20;
constexpr std::int32_t kDefaultLogFiles = 2;
constexpr std::int32_t kMostLogFiles = 1000;
constexpr std::string_view kDefaultTag = "{{.ID}}";

std::unexpected<Error> refuse(std::string_view option, std::string_view why,
                              std::string hint = {}) {
  return fail(ErrorKind::kUsage, "--log-opt " + quoted(option) + ": " + std::string(why),
              std::move(hint));
}

// The options that name what is added to entries.
struct Additions {
  std::vector<std::string> labels;
  std::vector<std::string> env;
  std::optional<std::string> tag;
};

Result<void> read_file_option(std::string_view option, std::string_view name,
                              std::string_view value, LogSettings& log) {
  if (name == "max-size") {
    if (value == "-1") {
      log.most_bytes = -1;
      return {};
    }
    const auto bytes = parse_bytes(value);
    if (!bytes || *bytes < 4096)
      return refuse(option, "a size such as 10m is expected, at least 4k, or -1 for no limit");
    log.most_bytes = *bytes;
  } else if (name == "max-file") {
    const auto files = parse_number<std::int32_t>(value);
    if (!files || *files < 1 || *files > kMostLogFiles)
      return refuse(option, "a number from 1 to 1000 is expected");
    log.most_files = *files;
  } else {
    if (value != "true" && value != "false") return refuse(option, "true or false is expected");
    log.compress = value == "true";
  }
  return {};
}

Result<void> read_option(std::string_view option, LogSettings& log, Additions& additions) {
  std::string_view value = option;
  const std::string_view name = next_field(value, '=');
  if (log.driver == LogDriver::kNone)
    return refuse(option, "this log driver has no options", "json-file and journald have");
  if (name == "max-size" || name == "max-file" || name == "compress") {
    if (log.driver != LogDriver::kJsonFile)
      return refuse(option, "this log driver has no such option", "json-file has it");
    return read_file_option(option, name, value, log);
  }
  if (name == "labels" || name == "env") {
    auto& names = name == "env" ? additions.env : additions.labels;
    for (const std::string_view each : split(value, ',')) {
      if (each.empty()) return refuse(option, "names separated by commas are expected");
      names.emplace_back(each);
    }
    return {};
  }
  if (name == "tag") {
    additions.tag = value;
    return {};
  }
  if (name == "labels-regex" || name == "env-regex")
    return refuse(option, "regular expressions are not supported",
                  "name them: labels=NAME,NAME and env=NAME,NAME");
  return refuse(option, "there is no such option",
                "json-file has max-size, max-file, compress, labels, env and tag; journald the "
                "last three");
}

struct Read {
  LogSettings settings;
  Additions additions;
};

Result<Read> read(const RunOptions& options) {
  Read all;
  LogSettings& log = all.settings;
  log.most_bytes = kDefaultLogBytes;
  log.most_files = kDefaultLogFiles;
  if (options.log_driver == "none")
    log.driver = LogDriver::kNone;
  else if (options.log_driver == "journald")
    log.driver = LogDriver::kJournald;
  else if (options.log_driver != "json-file")
    return fail(ErrorKind::kUsage,
                "--log-driver " + quoted(options.log_driver) + ": there is no such driver",
                "there are json-file, journald and none");
  for (const std::string& option : options.log_options)
    TRY(read_option(option, log, all.additions));
  if (log.compress && (log.most_bytes < 0 || log.most_files < 2))
    return fail(ErrorKind::kUsage,
                "--log-opt compress=true: nothing is ever put aside that could be compressed",
                "give max-size, and a max-file of at least 2");
  return all;
}

Result<std::string> render_tag(std::string_view text, const LoggedContainer& container) {
  std::string values;
  json::Writer writer(values);
  writer.begin_object();
  writer.member("ID", container.id.substr(0, 12));
  writer.member("FullID", container.id);
  writer.member("Name", container.name);
  writer.member("ImageID", container.image_id.substr(0, 12));
  writer.member("ImageFullID", "sha256:" + container.image_id);
  writer.member("ImageName", container.image);
  writer.member("DaemonName", "bulkhead");
  writer.end_object();
  TRY_ASSIGN(const json::Document document, json::parse(values));
  auto rendered = templates::render(text, document.root());
  if (!rendered) return std::unexpected(std::move(rendered).error().within("--log-opt tag"));
  return rendered;
}

// In the order in which they were asked for; what the container has not got is left out.
std::vector<std::pair<std::string, std::string>> added(const Additions& additions,
                                                       const LoggedContainer& container) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& name : additions.labels)
    if (const auto found = container.labels.find(name); found != container.labels.end())
      pairs.emplace_back(name, found->second);
  for (const std::string& name : additions.env)
    for (const std::string& entry : container.env)
      if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name))
        pairs.emplace_back(name, entry.substr(name.size() + 1));
  return pairs;
}

// The journal's native form: NAME=value, or for a value of several lines its size and its bytes.
void add_field(std::string& text, std::string_view name, std::string_view value) {
  text += name;
  if (value.find('\n') == std::string_view::npos) {
    text.append("=").append(value).append("\n");
    return;
  }
  text += '\n';
  std::uint64_t size = value.size();
  for (int i = 0; i < 8; ++i, size >>= 8) text += static_cast<char>(size & 0xFF);
  text.append(value).append("\n");
}

// A name that the journal takes: capitals, digits and underscores, of which none comes first.
std::string field_name(std::string_view name) {
  std::string field;
  for (const char c : name) {
    const bool digit = c >= '0' && c <= '9';
    const bool lower = c >= 'a' && c <= 'z';
    const bool upper = c >= 'A' && c <= 'Z';
    const char next = lower ? static_cast<char>(c - 'a' + 'A') : digit || upper ? c : '_';
    if (field.empty() && (next == '_' || digit)) continue;
    field += next;
  }
  return field.substr(0, 64);
}

std::string journal_fields(const std::vector<std::pair<std::string, std::string>>& pairs,
                           const LoggedContainer& container, std::string_view tag) {
  std::string text;
  add_field(text, "CONTAINER_ID", container.id.substr(0, 12));
  add_field(text, "CONTAINER_ID_FULL", container.id);
  add_field(text, "CONTAINER_NAME", container.name);
  add_field(text, "CONTAINER_TAG", tag);
  add_field(text, "SYSLOG_IDENTIFIER", tag);
  add_field(text, "IMAGE_NAME", container.image);
  for (const auto& [name, value] : pairs)
    if (const std::string field = field_name(name); !field.empty()) add_field(text, field, value);
  return text;
}

std::string json_attributes(const std::vector<std::pair<std::string, std::string>>& pairs,
                            const std::optional<std::string>& tag) {
  if (pairs.empty() && !tag) return {};
  // In the order of their names, as Docker writes them.
  std::map<std::string, std::string> sorted(pairs.begin(), pairs.end());
  if (tag) sorted["tag"] = *tag;
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  for (const auto& [name, value] : sorted) writer.member(name, value);
  writer.end_object();
  return text;
}

}  // namespace

Result<LogSettings> read_log_choice(const RunOptions& options) {
  TRY_ASSIGN(const Read all, read(options));
  // A template that is none is known before anything is made.
  if (all.additions.tag) TRY(render_tag(*all.additions.tag, {}));
  return all.settings;
}

Result<LogSettings> compose_log(const RunOptions& options, const LoggedContainer& container) {
  TRY_ASSIGN(Read all, read(options));
  LogSettings& log = all.settings;
  std::optional<std::string> tag = all.additions.tag;
  if (log.driver == LogDriver::kJournald && !tag) tag = kDefaultTag;
  if (tag) {
    TRY_ASSIGN(tag, render_tag(*tag, container));
  }
  const auto pairs = added(all.additions, container);
  const std::string text = log.driver == LogDriver::kJournald
                               ? journal_fields(pairs, container, *tag)
                               : json_attributes(pairs, tag);
  if (text.size() > log.attributes.size())
    return fail(ErrorKind::kUsage,
                "--log-opt: the labels, variables and tag of each entry are longer than " +
                    std::to_string(log.attributes.size()) + " bytes",
                "name fewer of them");
  std::ranges::copy(text, log.attributes.begin());
  log.attributes_size = static_cast<std::uint16_t>(text.size());
  return log;
}

std::vector<std::pair<std::string, std::string>> log_options_of(
    const LogSettings& settings, const std::vector<std::string>& given) {
  std::map<std::string, std::string> options;
  if (settings.driver == LogDriver::kJsonFile) {
    options["max-file"] = std::to_string(settings.most_files);
    options["max-size"] = std::to_string(settings.most_bytes);
  }
  for (const std::string& text : given) {
    std::string_view value = text;
    const std::string name(next_field(value, '='));
    options.emplace(name, value);
  }
  return {options.begin(), options.end()};
}

Result<void> check_log(const LogSettings& settings) {
  if (settings.driver != LogDriver::kJournald) return {};
  const auto found = supervise::check_journal();
  if (found) return {};
  return std::unexpected(
      Error(found.error())
          .within("--log-driver journald: there is no journal here")
          .with_hint("systemd-journald must run; --log-driver json-file needs nothing"));
}

}  // namespace bulkhead::engine
