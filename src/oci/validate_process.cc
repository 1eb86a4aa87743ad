#include "oci/validation.h"

namespace bulkhead::oci {
namespace {

Result<void> check_id(std::uint32_t id, const json::Place& place) {
  if (id != kNoId) return {};
  return invalid(place, "is 4294967295, which the kernel reads as \"leave it as it is\"",
                 "write an id from 0 to 4294967294");
}

Result<void> validate_user(const User& user, const json::Place& place) {
  TRY(check_id(user.uid.value(), json::Place(place, "uid")));
  TRY(check_id(user.gid.value(), json::Place(place, "gid")));
  const json::Place additional(place, "additionalGids");
  for (std::size_t i = 0; i < user.additional_gids.size(); ++i) {
    TRY(check_id(user.additional_gids[i].value(), json::Place(additional, i)));
  }
  if (user.umask && *user.umask > 0777) {
    return invalid(json::Place(place, "umask"), "is over 511 (octal 0777)",
                   "write the mask as a decimal number: 18 is octal 0022");
  }
  return {};
}

// The form that POSIX gives environ: NAME=VALUE. What is in another form would be unreachable to some
// programs and mean different things to others.
Result<void> validate_environment(const std::vector<std::string>& entries,
                                  const json::Place& place) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t equals = entries[i].find('=');
    if (equals != 0 && equals != std::string::npos) continue;
    return invalid(json::Place(place, i), "is " + quoted(entries[i], 64) + ", not NAME=VALUE",
                   "write the name, an equals sign and the value, which may be empty");
  }
  return {};
}

Result<void> validate_rlimits(const std::vector<Rlimit>& limits, const json::Place& place) {
  const auto twin = duplicate_in(limits, [](const Rlimit& limit) -> auto& { return limit.type; });
  if (twin) {
    return invalid(json::Place(json::Place(place, *twin), "type"),
                   "is " + quoted(limits[*twin].type, 64) + ", which is limited twice",
                   "remove one of the two entries");
  }
  for (std::size_t i = 0; i < limits.size(); ++i) {
    if (limits[i].soft > limits[i].hard) {
      return invalid(json::Place(json::Place(place, i), "soft"),
                     "is " + std::to_string(limits[i].soft) + ", over the hard limit of " +
                         std::to_string(limits[i].hard),
                     "raise the hard limit or lower the soft one");
    }
  }
  return {};
}

Result<void> validate_affinity(const ExecCpuAffinity& affinity, const json::Place& place) {
  const std::pair<std::string_view, const std::optional<std::string>*> lists[] = {
      {"initial", &affinity.initial}, {"final", &affinity.final}};
  for (const auto& [field, list] : lists) {
    if (*list && !only(**list, "0123456789, -")) {
      return invalid(json::Place(place, field),
                     "is " + quoted(**list, 64) + ", which is no list of processors",
                     "write numbers and ranges, as in \"0-3,7\"");
    }
  }
  return {};
}

}  // namespace

Result<void> validate_process_at(const Process& process, const json::Place& place) {
  if (!is_absolute(process.cwd)) {
    return invalid(json::Place(place, "cwd"),
                   "is " + quoted(process.cwd) + ", which is not an absolute path",
                   "write a path that begins with /");
  }
  if (process.args.empty()) {
    return invalid(json::Place(place, "args"), "is empty, so there is nothing to run",
                   "write the command as the first element");
  }
  if (process.args.front().empty()) {
    return invalid(json::Place(json::Place(place, "args"), 0),
                   "is empty, so there is nothing to run",
                   "write the command as the first element");
  }
  TRY(validate_environment(process.env, json::Place(place, "env")));
  TRY(validate_user(process.user, json::Place(place, "user")));
  TRY(validate_rlimits(process.rlimits, json::Place(place, "rlimits")));
  if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
    return invalid(json::Place(place, "oomScoreAdj"),
                   "is " + std::to_string(*process.oom_score_adj) + ", out of the kernel's range",
                   "write a number from -1000 to 1000");
  }
  if (process.io_priority &&
      (process.io_priority->priority < 0 || process.io_priority->priority > 7)) {
    return invalid(
        json::Place(json::Place(place, "ioPriority"), "priority"),
        "is " + std::to_string(process.io_priority->priority) + ", out of the kernel's range",
        "write a number from 0 (first) to 7 (last)");
  }
  if (process.exec_cpu_affinity) {
    TRY(validate_affinity(*process.exec_cpu_affinity, json::Place(place, "execCPUAffinity")));
  }
  return {};
}

}  // namespace bulkhead::oci
