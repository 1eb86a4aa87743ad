// Events as `bulkhead events` prints them.
#pragma once

#include <string>

#include "base/result.h"
#include "events/event.h"

namespace bulkhead::cli::engine {

// "2026-01-31T12:00:00.000000000+01:00 container start ID (image=busybox, name=web)".
std::string event_line(const events::Event& event);

// By a template; "json" is short for "{{json .}}".
Result<std::string> event_text(const events::Event& event, const std::string& format);
Result<void> check_event_format(const std::string& format);

}  // namespace bulkhead::cli::engine
