#include "cli/bulkhead/ps_rows.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "base/text.h"
#include "cli/bulkhead/listing.h"
#include "engine/image_time.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ContainerStatus;
using bulkhead::engine::describe_duration;
using bulkhead::engine::ListedContainer;

constexpr std::size_t kMostCommand = 20;

std::int64_t seconds_since(const std::string& time, std::int64_t now) {
  const auto then = bulkhead::engine::parse_time(time);
  return then ? now - *then : 0;
}

std::string command_text(const ListedContainer& container, bool full) {
  std::string joined;
  for (const std::string& argument :
       container.record ? container.record->arguments : container.arguments) {
    const bool spaces = !joined.empty() && argument.find(' ') != std::string::npos;
    joined.append(joined.empty() ? "" : " ").append(spaces ? "'" : "").append(argument);
    if (spaces) joined += '\'';
  }
  // What a container's author wrote must not steer the terminal.
  const std::string quoted_whole = quoted(joined, full ? joined.size() : 4096);
  const std::string inside = quoted_whole.substr(1, quoted_whole.size() - 2);
  if (full || inside.size() <= kMostCommand) return "\"" + inside + "\"";
  std::size_t end = kMostCommand - 1;
  while (end > 0 && (static_cast<unsigned char>(inside[end]) & 0xC0) == 0x80) --end;
  return "\"" + inside.substr(0, end) + "…\"";
}

std::string labels_text(const ListedContainer& container) {
  std::string text;
  if (container.record)
    for (const auto& [key, value] : container.record->labels)
      text.append(text.empty() ? "" : ",").append(key).append("=").append(value);
  return text;
}

std::string created_at(const std::string& time) {
  const auto then = bulkhead::engine::parse_time(time);
  return then ? bulkhead::engine::describe_time(*then) : time;
}

Listing listing() {
  return Listing({{"Command", "COMMAND"},
                  {"CreatedAt", "CREATED AT"},
                  {"ID", "CONTAINER ID"},
                  {"Image", "IMAGE"},
                  {"Labels", "LABELS"},
                  {"Mounts", "MOUNTS"},
                  {"Names", "NAMES"},
                  {"Networks", "NETWORKS"},
                  {"Ports", "PORTS"},
                  {"RunningFor", "CREATED"},
                  {"SizeLimit", "SIZE LIMIT"},
                  {"SizeLimitBy", "SIZE LIMIT BY"},
                  {"State", "STATE"},
                  {"Status", "STATUS"},
                  {"Storage", "STORAGE"}},
                 {"ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"},
                 Listing::Kind::kLabelled);
}

std::string mounts_text(const ListedContainer& container) {
  std::string text;
  if (container.record)
    for (const auto& mount : container.record->mounts)
      text.append(text.empty() ? "" : ",").append(mount.is_volume ? mount.name : mount.source);
  return text;
}

std::vector<std::string> row_of(const ListedContainer& container, bool full, std::int64_t now) {
  const auto& limit = container.storage.limit;
  return {command_text(container, full),
          created_at(container.created),
          full ? container.id : container.id.substr(0, 12),
          container.image,
          labels_text(container),
          mounts_text(container),
          container.name,
          container.record ? container.record->network : "",
          "",
          describe_duration(seconds_since(container.created, now)) + " ago",
          limit ? std::to_string(limit->bytes) : "",
          limit ? std::string(name_of(limit->method)) : "",
          std::string(name_of(container.status)),
          status_text(container, now),
          storage::describe(container.storage.layers)};
}

}  // namespace

std::string status_text(const ListedContainer& container, std::int64_t now) {
  const auto ago = [&](const std::string& time) {
    return describe_duration(seconds_since(time, now)) + " ago";
  };
  const auto health = [&]() -> std::string {
    if (!container.health) return "";
    const auto name = std::string(name_of(container.health->health));
    return container.health->health == supervise::Health::kStarting ? " (health: " + name + ")"
                                                                    : " (" + name + ")";
  };
  const auto code = [&] { return "(" + std::to_string(container.life.exit_code) + ") "; };
  switch (container.status) {
    case ContainerStatus::kCreated: return "Created";
    case ContainerStatus::kRunning:
      return "Up " + describe_duration(seconds_since(container.started, now)) + health();
    case ContainerStatus::kPaused:
      return "Up " + describe_duration(seconds_since(container.started, now)) + " (Paused)";
    case ContainerStatus::kRestarting: return "Restarting " + code() + ago(container.life.finished);
    case ContainerStatus::kExited: return "Exited " + code() + ago(container.life.finished);
    case ContainerStatus::kDead: break;
  }
  return "Dead";
}

namespace {

// Docker takes a regular expression. Of these people use the anchors: "^web$", also with Docker's "/".
Result<void> check_name_pattern(std::string_view text, std::string_view pattern) {
  if (pattern.find_first_of("*+?[](){}|\\") == std::string_view::npos) return {};
  return fail(ErrorKind::kUsage,
              "--filter " + quoted(text) + ": of regular expressions ^ and $ are understood",
              "name=PART finds every name with PART in it, name=^NAME$ one");
}

bool matches_name(std::string_view name, std::string_view pattern) {
  const bool from_start = pattern.starts_with('^');
  if (from_start) pattern.remove_prefix(1);
  if (pattern.starts_with('/')) pattern.remove_prefix(1);
  const bool to_end = pattern.ends_with('$');
  if (to_end) pattern.remove_suffix(1);
  if (from_start && to_end) return name == pattern;
  if (from_start) return name.starts_with(pattern);
  if (to_end) return name.ends_with(pattern);
  return name.find(pattern) != std::string_view::npos;
}

}  // namespace

Result<ContainerFilter> ContainerFilter::read(std::span<const std::string> filters) {
  constexpr std::array<std::string_view, 11> kKeys{"status",   "name",   "id",     "label",
                                                   "ancestor", "exited", "before", "since",
                                                   "network",  "volume", "health"};
  constexpr std::array<std::string_view, 7> kStatuses{"created", "running", "paused",  "restarting",
                                                      "exited",  "dead",    "removing"};
  constexpr std::array<std::string_view, 4> kHealths{"starting", "healthy", "unhealthy", "none"};
  ContainerFilter filter;
  for (const std::string& text : filters) {
    std::string_view value = text;
    const std::string_view key = next_field(value, '=');
    if (std::ranges::find(kKeys, key) == kKeys.end() || text.find('=') == std::string::npos)
      return fail(ErrorKind::kUsage, "--filter " + quoted(text) + ": there is no such filter",
                  "there are status=, name=, id=, label=, ancestor=, exited=, before=, since=, "
                  "network=, volume= and health=");
    if (key == "status" && std::ranges::find(kStatuses, value) == kStatuses.end())
      return fail(ErrorKind::kUsage, "--filter " + quoted(text) + ": there is no such status",
                  "there are created, running, paused, restarting, exited and dead");
    if (key == "health" && std::ranges::find(kHealths, value) == kHealths.end())
      return fail(ErrorKind::kUsage, "--filter " + quoted(text) + ": there is no such health",
                  "there are starting, healthy, unhealthy and none");
    if (key == "name") TRY(check_name_pattern(text, value));
    if (key == "exited" && !parse_number<int>(value))
      return fail(ErrorKind::kUsage, "--filter " + quoted(text) + ": an exit code is expected");
    filter.wanted_.emplace_back(key, value);
  }
  return filter;
}

Result<void> ContainerFilter::look_up(std::span<const ListedContainer> all) {
  for (const auto& [key, value] : wanted_) {
    if (key != "before" && key != "since") continue;
    const auto found = std::ranges::find_if(all, [&](const ListedContainer& each) {
      return each.name == value || (value.size() >= 4 && each.id.starts_with(value));
    });
    if (found == all.end())
      return fail(ErrorKind::kNotFound,
                  "--filter " + key + ": there is no container " + quoted(value));
    bounds_[value] = found->created;
  }
  return {};
}

bool ContainerFilter::names_status() const {
  return std::ranges::any_of(
      wanted_, [](const auto& pair) { return pair.first == "status" || pair.first == "exited"; });
}

bool ContainerFilter::matches_one(const ListedContainer& container, std::string_view key,
                                  std::string_view value) const {
  if (key == "status") return name_of(container.status) == value;
  if (key == "name") return matches_name(container.name, value);
  if (key == "before" || key == "since") {
    const auto bound = bounds_.find(std::string(value));
    if (bound == bounds_.end()) return false;
    return key == "before" ? container.created < bound->second : container.created > bound->second;
  }
  if (key == "network") return container.record && container.record->network == value;
  if (key == "id") return container.id.starts_with(value);
  if (key == "ancestor")
    return container.image == value ||
           (container.record && value.size() >= 4 && container.record->image_id.starts_with(value));
  if (key == "health")
    return (container.health ? name_of(container.health->health) : "none") == value;
  if (key == "exited")
    return container.status == ContainerStatus::kExited &&
           container.life.exit_code == parse_number<int>(value);
  if (!container.record) return false;
  if (key == "volume")
    return std::ranges::any_of(container.record->mounts, [&](const auto& mount) {
      return mount.destination == value || (mount.is_volume ? mount.name : mount.source) == value;
    });
  std::string_view wanted = value;
  const bool has_value = value.find('=') != std::string_view::npos;
  const auto found = container.record->labels.find(std::string(next_field(wanted, '=')));
  return found != container.record->labels.end() && (!has_value || found->second == wanted);
}

bool ContainerFilter::matches(const ListedContainer& container) const {
  return std::ranges::all_of(wanted_, [&](const auto& pair) {
    // Labels must all be there; of other keys any value will do.
    if (pair.first == "label") return matches_one(container, pair.first, pair.second);
    return std::ranges::any_of(wanted_, [&](const auto& other) {
      return other.first == pair.first && matches_one(container, other.first, other.second);
    });
  });
}

Result<std::string> format_rows(std::span<const ListedContainer> containers,
                                std::string_view format, bool full) {
  const std::int64_t now = std::time(nullptr);
  Listing rows = listing();
  for (const ListedContainer& container : containers) {
    Listing::Labels labels;
    if (container.record) labels = container.record->labels;
    rows.add(row_of(container, full, now), std::move(labels));
  }
  return rows.text(format);
}

}  // namespace bulkhead::cli::engine
