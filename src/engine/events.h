// The engine's words to the journal of events (events/journal.h). Each act records its own, once it is
// done; nothing here fails, and nothing waits for a disk.
#pragma once

#include <map>
#include <string>

#include "engine/container_record.h"
#include "engine/containers.h"
#include "engine/options.h"
#include "events/event.h"

namespace bulkhead::engine {

std::string events_directory(const StoreOptions& options);

using EventAttributes = std::map<std::string, std::string>;

// Whom an event of a container is about.
struct EventSubject {
  std::string id;
  std::string name;
  std::string image;
  EventAttributes labels;

  static EventSubject of(const ContainerRecord& record);
  static EventSubject of(const ListedContainer& container);
};

// `action` in Docker's words: "start", "die", "exec_create: sh -c ...", "health_status: healthy".
// `attributes` come beside the labels, the image and the name.
void record_event(const StoreOptions& options, const EventSubject& subject, std::string action,
                  EventAttributes attributes = {});

// Of an image: `id` is "sha256:…", or for a pull the name; `name` is what was named.
void record_image_event(const StoreOptions& options, std::string id, std::string name,
                        std::string action);

// Of a volume: "create", "mount", "unmount", "destroy", with `driver`, and of a mount `container`,
// `destination`, `read/write` and `propagation`.
void record_volume_event(const StoreOptions& options, std::string name, std::string action,
                         EventAttributes attributes);

}  // namespace bulkhead::engine
