// A container's health check: what is run, from the user's flags and the image, and what came of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "json/value.h"
#include "json/writer.h"
#include "oci/image.h"
#include "supervise/health.h"

namespace bulkhead::engine {

struct HealthCheck {
  std::vector<std::string> test;   // as Docker has it: {"CMD", ...} or {"CMD-SHELL", text}
  std::vector<std::string> shell;  // of the image, for CMD-SHELL
  supervise::HealthSettings settings;

  bool enabled() const { return settings.enabled; }
  // What is executed.
  std::vector<std::string> arguments() const;
};

// --health-cmd and its kin by themselves; errors name the flag.
Result<void> check_health_flags(const RunOptions& options);
// Where a flag says nothing, the image does. `options` have been checked.
Result<HealthCheck> choose_health_check(const RunOptions& options,
                                        const oci::ExecutionParameters& image);

struct HealthResult {
  std::string start;  // RFC 3339
  std::string end;
  int exit_code = 0;  // -1: it was not run to its end
  std::string output;
};

// State.Health of `inspect`, in a file of the container's directory.
struct HealthRecord {
  supervise::Health health = supervise::Health::kStarting;
  std::uint32_t failing_streak = 0;
  std::vector<HealthResult> log;  // the last five, the oldest first
};

// Takes a result in. `starting`: within the period of the container's start in which failures do not
// count.
void add_result(HealthRecord& record, HealthResult result, const HealthCheck& check, bool starting);

inline constexpr const char* kHealthFile = "health.json";
// What a check says is kept up to this many bytes.
inline constexpr std::size_t kMostHealthOutput = 4096;

std::string encode(const HealthRecord& record);
Result<HealthRecord> decode_health_record(std::string_view text);
// Nothing when there is no such file.
Result<std::optional<HealthRecord>> read_health_record(int directory);
// The container starts: its health is not known yet. What earlier checks said stays.
Result<void> reset_health_record(int directory);

// As members of the container's record.
void write_health_check(json::Writer& writer, const HealthCheck& check);
HealthCheck read_health_check(const json::Value& value);

}  // namespace bulkhead::engine
