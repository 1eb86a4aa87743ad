// What a container has said, out of systemd's journal, by its own program for that: journalctl.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "engine/logs.h"

namespace bulkhead::engine {

// As logs(); `ended` is a descriptor that becomes readable when nothing more will come, -1 for a
// container that does not run.
Result<void> read_journal(const std::string& id, const LogChoices& choices, int ended,
                          const VisitEntry& visit, const std::function<void()>& pause);

}  // namespace bulkhead::engine
