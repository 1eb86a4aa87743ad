#include "engine/metadata.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "engine/flag_error.h"
#include "engine/values.h"
#include "runtime/signal_name.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostFileBytes = 1 << 20;
constexpr std::size_t kMostLabelBytes = 64 << 10;  // of one container's labels together

// What Bulkhead records under a name of its own must not come from elsewhere.
constexpr std::string_view kReserved = "org.bulkhead.";

Result<std::string> read_named_file(std::string_view flag, const std::string& path) {
  // A FIFO is fine: people give <(...).
  auto text = read_file_at(AT_FDCWD, path.c_str(), kMostFileBytes);
  if (!text)
    return std::unexpected(
        std::move(text).error().within(flag).with_hint("name a file that can be read"));
  if (text->starts_with("\xEF\xBB\xBF")) text->erase(0, 3);
  return std::move(*text);
}

// Lines without what is blank or a comment, as in Docker: space before the first word goes, space
// after the last stays.
template <class Visit>
Result<void> for_each_line(std::string_view flag, std::string_view path, std::string_view text,
                           const Visit& visit) {
  int number = 0;
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t\v\f"), line.size()));
    if (line.empty() || line.front() == '#') continue;
    const auto refuse = [&](std::string_view why) {
      return refuse_flag(flag, path, "line " + std::to_string(number) + ": " + std::string(why),
                         "a line is NAME=VALUE, NAME alone, empty, or a comment after #");
    };
    for (std::string_view rest = line; !rest.empty();) {
      const std::size_t length = utf8_length(rest);
      if (length == 0 || rest.front() == '\0') return refuse("invalid UTF-8, or a NUL byte");
      rest.remove_prefix(length);
    }
    const std::string_view name = line.substr(0, line.find('='));
    if (name.empty()) return refuse("no name before =");
    if (name.find_first_of(" \t") != std::string_view::npos)
      return refuse("the name " + quoted(name) + " contains whitespace");
    visit(line);
  }
  return {};
}

void put_variable(std::vector<std::string>& env, std::string_view entry) {
  if (entry.find('=') != std::string_view::npos) {
    env.emplace_back(entry);
  } else if (const char* const value = ::getenv(std::string(entry).c_str())) {
    env.push_back(std::string(entry) + "=" + value);
  }
}

// NAME[=VALUE] into `into`; a later one wins.
Result<void> put_label(std::string_view flag, std::string_view text, Labels& into) {
  const std::size_t equals = text.find('=');
  const std::string name(text.substr(0, equals));
  if (name.empty()) return refuse_flag(flag, text, "NAME=VALUE is expected");
  if (text.find('\0') != std::string_view::npos) return refuse_flag(flag, text, "a NUL byte");
  if (name.starts_with(kReserved))
    return refuse_flag(
        flag, text, "names that begin with org.bulkhead. are Bulkhead's own",
        "choose another name; what they record has a flag of its own, such as --tenant");
  into[name] = equals == std::string_view::npos ? "" : text.substr(equals + 1);
  return {};
}

Result<void> read_labels(const RunOptions& options, Metadata& metadata) {
  for (const std::string& path : options.label_files) {
    TRY_ASSIGN(const std::string text, read_named_file("--label-file", path));
    Result<void> put;
    TRY(for_each_line("--label-file", path, text, [&](std::string_view line) {
      if (put) put = put_label("--label-file", line, metadata.labels);
    }));
    TRY(std::move(put));
  }
  for (const std::string& text : options.labels) TRY(put_label("--label", text, metadata.labels));
  std::size_t size = 0;
  for (const auto& [name, value] : metadata.labels) size += name.size() + value.size();
  if (size > kMostLabelBytes) return fail(ErrorKind::kUsage, "--label: more than 64 KiB of labels");
  for (const std::string& text : options.annotations) {
    if (text.find('=') == std::string::npos)
      return refuse_flag("--annotation", text, "NAME=VALUE is expected");
    TRY(put_label("--annotation", text, metadata.annotations));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> parse_exposed(std::string_view text) {
  constexpr int kMostPorts = 1024;
  std::string_view rest = text;
  const std::string_view range = next_field(rest, '/');
  const std::string_view protocol = rest.empty() ? "tcp" : rest;
  std::string_view last_text = range;
  const auto first = parse_number<std::uint16_t>(next_field(last_text, '-'));
  const auto last = last_text.empty() ? first : parse_number<std::uint16_t>(last_text);
  if (!first || !last || *first == 0 || *last < *first || *last - *first >= kMostPorts ||
      range.ends_with('-') || text.ends_with('/') ||
      (protocol != "tcp" && protocol != "udp" && protocol != "sctp"))
    return refuse_flag("--expose", text, "PORT[-PORT][/tcp|udp|sctp] is expected");
  std::vector<std::string> ports;
  for (std::uint32_t port = *first; port <= *last; ++port)
    ports.push_back(std::to_string(port) + "/" + std::string(protocol));
  return ports;
}

Result<std::vector<std::string>> parse_environment_file(std::string_view path,
                                                        std::string_view text) {
  std::vector<std::string> entries;
  TRY(for_each_line("--env-file", path, text,
                    [&](std::string_view line) { entries.emplace_back(line); }));
  return entries;
}

Result<std::vector<std::string>> read_environment(const RunOptions& options) {
  std::vector<std::string> env;
  for (const std::string& path : options.env_files) {
    TRY_ASSIGN(const std::string text, read_named_file("--env-file", path));
    TRY_ASSIGN(const std::vector<std::string> entries, parse_environment_file(path, text));
    for (const std::string& entry : entries) put_variable(env, entry);
  }
  for (const std::string& entry : options.env) {
    if (entry.empty() || entry.front() == '=')
      return refuse_flag("--env", entry, "NAME=VALUE or NAME is expected");
    put_variable(env, entry);
  }
  return env;
}

Result<Metadata> read_metadata(const RunOptions& options) {
  Metadata metadata;
  TRY(read_labels(options, metadata));
  for (const std::string& text : options.expose) {
    TRY_ASSIGN(const std::vector<std::string> ports, parse_exposed(text));
    metadata.exposed_ports.insert(metadata.exposed_ports.end(), ports.begin(), ports.end());
  }
  std::ranges::sort(metadata.exposed_ports);
  const auto twice = std::ranges::unique(metadata.exposed_ports);
  metadata.exposed_ports.erase(twice.begin(), twice.end());
  if (options.tenant) {
    if (!is_container_name(*options.tenant))
      return refuse_flag("--tenant", *options.tenant,
                         "a letter or digit, then letters, digits and _ . - are expected");
    metadata.tenant = *options.tenant;
  }
  if (options.stop_signal) {
    const auto signal = runtime::parse_signal(*options.stop_signal);
    if (!signal || *signal == 0)
      return refuse_flag("--stop-signal", *options.stop_signal, "there is no such signal",
                         "give a name such as SIGTERM, or a number");
    metadata.stop_signal = *signal;
  }
  if (options.stop_timeout) {
    metadata.stop_timeout_seconds = parse_number<std::int64_t>(*options.stop_timeout);
    if (!metadata.stop_timeout_seconds || *metadata.stop_timeout_seconds < -1 ||
        *metadata.stop_timeout_seconds > std::int64_t{1} << 31)
      return refuse_flag("--stop-timeout", *options.stop_timeout,
                         "a number of seconds is expected, or -1 to wait without end");
  }
  return metadata;
}

}  // namespace bulkhead::engine
