#include "events/event.h"

#include <limits>

#include "json/parse.h"
#include "json/writer.h"

namespace bulkhead::events {
namespace {

constexpr std::size_t kMostType = 32;
constexpr std::int64_t kNanoseconds = 1'000'000'000;
// What lies beyond is no time that nanoseconds of 64 bits can tell.
constexpr std::int64_t kMostSeconds = std::numeric_limits<std::int64_t>::max() / kNanoseconds - 1;

std::string attribute(const Event& event, const std::string& name) {
  const auto found = event.attributes.find(name);
  return found == event.attributes.end() ? std::string() : found->second;
}

std::string text_of(const Event& event) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  // The first three are what clients of old read.
  if (event.type != kVolume) {
    writer.member("status", event.action);
    writer.member("id", event.id);
    if (const std::string image = attribute(event, "image"); !image.empty())
      writer.member("from", image);
  }
  writer.member("Type", event.type);
  writer.member("Action", event.action);
  write_actor(writer, event);
  writer.member("scope", "local");
  writer.member("time", std::int64_t{event.time.tv_sec});
  writer.member("timeNano", event.time.tv_sec * kNanoseconds + event.time.tv_nsec);
  writer.end_object();
  text += '\n';
  return text;
}

std::string_view string_at(const json::Value& object, std::string_view key) {
  const json::Value* const value = object.find(key);
  return value == nullptr ? std::string_view() : value->as_string();
}

}  // namespace

void write_actor(json::Writer& writer, const Event& event) {
  writer.key("Actor");
  writer.begin_object();
  writer.member("ID", event.id);
  writer.key("Attributes");
  writer.begin_object();
  for (const auto& [name, value] : event.attributes) writer.member(name, value);
  writer.end_object();
  writer.end_object();
}

std::string encode(const Event& event) {
  std::string text = text_of(event);
  if (text.size() <= kMostLine) return text;
  Event shorter{event.type, event.action.substr(0, 256), event.id.substr(0, 1024), {}, event.time};
  for (const char* const name : {"image", "name", "exitCode", "signal"})
    if (const std::string value = attribute(event, name); !value.empty())
      shorter.attributes[name] = value.substr(0, 1024);
  return text_of(shorter);
}

std::optional<Event> decode(std::string_view line) {
  if (line.size() > kMostLine) return std::nullopt;
  const auto document =
      json::parse(line, {.bytes = kMostLine, .depth = 4, .values = std::size_t{16} << 10});
  if (!document) return std::nullopt;
  const json::Value& root = document->root();
  const json::Value* const actor = root.find("Actor");
  const json::Value* const time = root.find("timeNano");
  if (actor == nullptr || time == nullptr) return std::nullopt;
  const json::Value* const attributes = actor->find("Attributes");
  const auto nanoseconds = time->as_int64();
  if (attributes == nullptr || !nanoseconds || *nanoseconds < 0 ||
      *nanoseconds / kNanoseconds > kMostSeconds)
    return std::nullopt;
  Event event;
  event.type = string_at(root, "Type");
  event.action = string_at(root, "Action");
  event.id = string_at(*actor, "ID");
  if (event.type.empty() || event.type.size() > kMostType || event.action.empty())
    return std::nullopt;
  for (const json::Member& member : attributes->members())
    event.attributes.emplace(member.key, member.value.as_string());
  event.time.tv_sec = *nanoseconds / kNanoseconds;
  event.time.tv_nsec = static_cast<long>(*nanoseconds % kNanoseconds);
  return event;
}

std::string_view kind_of_action(std::string_view action) {
  return action.substr(0, action.find(':'));
}

}  // namespace bulkhead::events
