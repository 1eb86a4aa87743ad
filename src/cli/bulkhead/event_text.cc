#include "cli/bulkhead/event_text.h"

#include <array>
#include <cstdio>
#include <ctime>

#include "base/text.h"
#include "cli/bulkhead/table.h"
#include "json/parse.h"
#include "json/writer.h"
#include "template/template.h"

namespace bulkhead::cli::engine {
namespace {

using events::Event;

bool is_json(std::string_view format) {
  if (format == "json") return true;
  if (!format.starts_with("{{") || !format.ends_with("}}")) return false;
  const std::string_view inside = trim(format.substr(2, format.size() - 4));
  return inside.starts_with("json") && trim(inside.substr(4)) == ".";
}

// In the zone of the host, with all nine digits, so that lines stand beneath each other.
std::string local_time(const timespec& time) {
  struct tm parts{};
  std::array<char, 64> text{};
  if (::localtime_r(&time.tv_sec, &parts) == nullptr) return "?";
  const std::size_t size = ::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out(text.data(), size);
  (void)std::snprintf(text.data(), text.size(), ".%09ld", time.tv_nsec);
  out += text.data();
  if (parts.tm_gmtoff == 0) return out + "Z";
  const long minutes = parts.tm_gmtoff / 60;
  (void)std::snprintf(text.data(), text.size(), "%c%02ld:%02ld", minutes < 0 ? '-' : '+',
                      std::labs(minutes) / 60, std::labs(minutes) % 60);
  return out + text.data();
}

// With the names that templates use.
std::string template_value(const Event& event) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  const auto image = event.attributes.find("image");
  writer.member("Status", event.action);
  writer.member("ID", event.id);
  writer.member("From", image == event.attributes.end() ? "" : image->second);
  writer.member("Type", event.type);
  writer.member("Action", event.action);
  write_actor(writer, event);
  writer.member("Scope", "local");
  writer.member("Time", std::int64_t{event.time.tv_sec});
  writer.member("TimeNano", event.time.tv_sec * std::int64_t{1'000'000'000} + event.time.tv_nsec);
  writer.end_object();
  return text;
}

}  // namespace

std::string event_line(const Event& event) {
  std::string line = local_time(event.time) + " " + event.type + " " + printable(event.action) +
                     " " + printable(event.id);
  std::string_view separator = " (";
  for (const auto& [name, value] : event.attributes) {
    line.append(separator).append(printable(name)).append("=").append(printable(value));
    separator = ", ";
  }
  if (!event.attributes.empty()) line += ')';
  return line + "\n";
}

Result<std::string> event_text(const Event& event, const std::string& format) {
  if (is_json(format)) return events::encode(event);
  TRY_ASSIGN(const json::Document value, json::parse(template_value(event)));
  TRY_ASSIGN(std::string text, templates::render(format, value.root()));
  return text + "\n";
}

Result<void> check_event_format(const std::string& format) {
  if (is_json(format)) return {};
  return templates::check(format);
}

}  // namespace bulkhead::cli::engine
