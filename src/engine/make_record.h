// What is remembered of a container that is being made.
#pragma once

#include "engine/compose.h"
#include "engine/container_record.h"
#include "engine/options.h"
#include "engine/prepare.h"
#include "engine/result.h"

namespace bulkhead::engine {

// --restart, --log-driver and --log-opt, understood; errors name the flag.
struct LifeChoices {
  supervise::RestartPolicy restart;
  supervise::LogSettings log;
};
Result<LifeChoices> read_life_choices(const RunOptions& options);

// `options` have been checked by read_life_choices().
Result<ContainerRecord> make_record(const RunOptions& options, const Prepared& prepared,
                                    const Composed& composed);

LifeRecord life_of(const RunResult& result);

}  // namespace bulkhead::engine
