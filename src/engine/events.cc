#include "engine/events.h"

#include "events/journal.h"

namespace bulkhead::engine {

std::string events_directory(const StoreOptions& options) { return options.runroot + "/events"; }

EventSubject EventSubject::of(const ContainerRecord& record) {
  return {record.id, record.name, record.image, record.labels};
}

EventSubject EventSubject::of(const ListedContainer& container) {
  if (container.record) return of(*container.record);
  return {container.id, container.name, container.image, {}};
}

void record_event(const StoreOptions& options, const EventSubject& subject, std::string action,
                  EventAttributes attributes) {
  attributes.insert(subject.labels.begin(), subject.labels.end());
  attributes["image"] = subject.image;
  attributes["name"] = subject.name.empty() ? subject.id.substr(0, 12) : subject.name;
  events::record(events_directory(options), {.type = std::string(events::kContainer),
                                             .action = std::move(action),
                                             .id = subject.id,
                                             .attributes = std::move(attributes),
                                             .time = {}});
}

void record_image_event(const StoreOptions& options, std::string id, std::string name,
                        std::string action) {
  events::record(events_directory(options), {.type = std::string(events::kImage),
                                             .action = std::move(action),
                                             .id = std::move(id),
                                             .attributes = {{"name", std::move(name)}},
                                             .time = {}});
}

void record_volume_event(const StoreOptions& options, std::string name, std::string action,
                         EventAttributes attributes) {
  events::record(events_directory(options), {.type = std::string(events::kVolume),
                                             .action = std::move(action),
                                             .id = std::move(name),
                                             .attributes = std::move(attributes),
                                             .time = {}});
}

}  // namespace bulkhead::engine
