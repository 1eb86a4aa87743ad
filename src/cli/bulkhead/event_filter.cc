#include "cli/bulkhead/event_filter.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace bulkhead::cli::engine {
namespace {

using events::Event;

std::string_view attribute(const Event& event, const std::string& name) {
  const auto found = event.attributes.find(name);
  return found == event.attributes.end() ? std::string_view() : std::string_view(found->second);
}

// "exec_start" also stands for "exec_start: sh".
bool is_action(const Event& event, std::string_view wanted) {
  return event.action == wanted || events::kind_of_action(event.action) == wanted;
}

bool is_container(const Event& event, std::string_view wanted) {
  return event.type == events::kContainer && !wanted.empty() &&
         (event.id.starts_with(wanted) || attribute(event, "name") == wanted);
}

bool is_volume(const Event& event, std::string_view wanted) {
  return event.type == events::kVolume && event.id == wanted;
}

// Without its tag a name stands for all of its tags.
bool is_name(std::string_view name, std::string_view wanted) {
  if (name == wanted) return true;
  return name.size() > wanted.size() && name.starts_with(wanted) &&
         (name[wanted.size()] == ':' || name[wanted.size()] == '@');
}

bool is_image(const Event& event, std::string_view wanted) {
  if (event.type == events::kContainer) return is_name(attribute(event, "image"), wanted);
  return event.type == events::kImage &&
         (is_name(event.id, wanted) || is_name(attribute(event, "name"), wanted));
}

bool has_label(const Event& event, std::string_view wanted) {
  std::string_view value = wanted;
  const std::string key(next_field(value, '='));
  const auto found = event.attributes.find(key);
  if (found == event.attributes.end()) return false;
  return wanted.find('=') == std::string_view::npos || found->second == value;
}

bool matches_one(const Event& event, std::string_view key, std::string_view value) {
  if (key == "type") return event.type == value;
  if (key == "event") return is_action(event, value);
  if (key == "container") return is_container(event, value);
  if (key == "volume") return is_volume(event, value);
  if (key == "image") return is_image(event, value);
  if (key == "label") return has_label(event, value);
  return value == "local";  // scope
}

}  // namespace

Result<EventFilter> EventFilter::read(const std::vector<std::string>& words) {
  constexpr std::array<std::string_view, 7> kKeys{"container", "event", "image", "label",
                                                  "scope",     "type",  "volume"};
  EventFilter filter;
  for (const std::string& word : words) {
    std::string_view value = word;
    const std::string key(next_field(value, '='));
    if (std::ranges::find(kKeys, key) == kKeys.end())
      return fail(ErrorKind::kUsage, "--filter " + quoted(word) + ": no such key",
                  "there are container, event, image, label, scope, type and volume");
    if (value.empty())
      return fail(ErrorKind::kUsage, "--filter " + quoted(word) + ": KEY=VALUE is expected");
    if (key == "type" && value != events::kContainer && value != events::kImage &&
        value != events::kVolume)
      return fail(ErrorKind::kUsage, "--filter " + quoted(word) + ": no such type",
                  "there are container, image and volume");
    filter.wanted_[key].emplace_back(value);
  }
  return filter;
}

bool EventFilter::matches(const Event& event) const {
  return std::ranges::all_of(wanted_, [&](const auto& each) {
    const auto one = [&](const std::string& value) {
      return matches_one(event, each.first, value);
    };
    return each.first == "label" ? std::ranges::all_of(each.second, one)
                                 : std::ranges::any_of(each.second, one);
  });
}

}  // namespace bulkhead::cli::engine
