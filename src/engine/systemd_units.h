// Units for systemd that run one container: `bulkhead generate systemd`. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::engine {

struct UnitWish {
  std::string program;              // absolute
  std::vector<std::string> global;  // --root and --runroot, where they are not the usual ones
  std::string name;                 // of the unit's file: "container-" and this
  std::string container;            // what the commands call it
  std::string restart_policy = "on-failure";  // systemd's
  std::int64_t stop_seconds = 10;
  std::int64_t start_seconds = -1;  // -1: systemd's
  // The words after `run`, for a unit that makes its container anew each time; nothing: it starts the
  // one that there is.
  std::optional<std::vector<std::string>> run_words;
};

std::string unit_text(const UnitWish& wish);

// A word of a command line in a unit: no specifier, variable or quotation mark of it means anything.
std::string unit_word(std::string_view word);

// systemd's: no, on-success, on-failure, on-abnormal, on-watchdog, on-abort, always.
bool is_unit_restart_policy(std::string_view text);

}  // namespace bulkhead::engine
