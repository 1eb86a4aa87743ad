// What has happened to a container, an image or a volume, as one line of text: an object with the fields
// and names of Docker's events.
#pragma once

#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "json/writer.h"

namespace bulkhead::events {

inline constexpr std::string_view kContainer = "container";
inline constexpr std::string_view kImage = "image";
inline constexpr std::string_view kVolume = "volume";

struct Event {
  std::string type;    // one of the above
  std::string action;  // "start", "exec_start: sh", "health_status: healthy"
  std::string id;      // of what it happened to; of a volume and a pulled image the name
  std::map<std::string, std::string> attributes;
  timespec time{};  // 0: when it is recorded
};

// Lines are no longer than this; attributes that would make one longer are left out.
inline constexpr std::size_t kMostLine = 64 * 1024;

// With the newline.
std::string encode(const Event& event);

// The member "Actor", in the object that `writer` is in: what it happened to, and the attributes.
void write_actor(json::Writer& writer, const Event& event);

// A line without its newline; nothing for what is none of ours, such as one that a full disk has cut off.
std::optional<Event> decode(std::string_view line);

// "exec_start" of "exec_start: sh".
std::string_view kind_of_action(std::string_view action);

}  // namespace bulkhead::events
