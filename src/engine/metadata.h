// What is recorded of a container beside how it runs: labels, annotations, ports, its tenant, how it
// is stopped; and files with such things in them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"

namespace bulkhead::engine {

using Labels = std::map<std::string, std::string>;

struct Metadata {
  Labels labels;       // the image's are added later, where they are not given here
  Labels annotations;  // into the specification
  std::vector<std::string> exposed_ports;            // "80/tcp"
  std::string tenant;                                // empty: of nobody in particular
  std::optional<int> stop_signal;                    // nothing: the image's, else SIGTERM
  std::optional<std::int64_t> stop_timeout_seconds;  // -1: forever; nothing: 10
};

// Reads the files that --label-file names.
Result<Metadata> read_metadata(const RunOptions& options);

// --env-file and --env in Docker's order: the files first. A name alone takes the caller's value;
// a variable that is not set stays unset.
Result<std::vector<std::string>> read_environment(const RunOptions& options);

// One line each; blank ones and those that begin with '#' are skipped.
Result<std::vector<std::string>> parse_environment_file(std::string_view path,
                                                        std::string_view text);

// "80", "80/udp", "8000-8010": each as "PORT/PROTOCOL".
Result<std::vector<std::string>> parse_exposed(std::string_view text);

// Annotations of the specification in which the above is recorded.
inline constexpr std::string_view kTenantAnnotation = "org.bulkhead.tenant";
inline constexpr std::string_view kLabelsAnnotation = "org.bulkhead.labels";  // a JSON object
inline constexpr std::string_view kIpcAnnotation = "org.bulkhead.ipc";        // "shareable"
// Seconds that the container's clocks begin at, when that is not 0.
inline constexpr std::string_view kClocksAnnotation = "org.bulkhead.clocks-begin";
inline constexpr std::string_view kStopTimeoutAnnotation = "org.bulkhead.stop-timeout";
inline constexpr std::string_view kStopSignalAnnotation = "org.opencontainers.image.stopSignal";
inline constexpr std::string_view kPortsAnnotation = "org.opencontainers.image.exposedPorts";

}  // namespace bulkhead::engine
