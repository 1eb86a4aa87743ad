#include "engine/preset.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "engine/flag_error.h"
#include "engine/wish.h"
#include "json/writer.h"

namespace bulkhead::engine {
namespace {

// The first flag that opens what the preset closes; empty for none.
std::string weakening(const RunOptions& options) {
  if (options.privileged) return "--privileged";
  if (!options.cap_add.empty()) return "--cap-add " + options.cap_add.front();
  if (options.network != "none") return "--network " + options.network;
  if (!options.devices.empty()) return "--device " + options.devices.front();
  if (!options.device_rules.empty()) return "--device-cgroup-rule";
  if (options.gpus) return "--gpus " + *options.gpus;
  if (options.oom_kill_disable) return "--oom-kill-disable";
  for (const std::string& option : options.security_options) {
    constexpr std::string_view kStricter[] = {"no-new-privileges", "no-new-privileges=true",
                                              "no-new-privileges:true"};
    if (std::ranges::find(kStricter, option) == std::end(kStricter) &&
        !option.starts_with("label=type:") && !option.starts_with("label=level:"))
      return "--security-opt " + option;
  }
  for (const auto& [flag, value] : {std::pair("--userns", &options.user_namespace),
                                    {"--pid", &options.pid_namespace},
                                    {"--ipc", &options.ipc_namespace},
                                    {"--uts", &options.uts_namespace},
                                    {"--cgroupns", &options.cgroup_namespace},
                                    {"--time-offset", &options.time_offset}})
    if (*value &&
        (**value == "host" || **value == "shareable" || (*value)->starts_with("container:")))
      return std::string(flag) + " " + **value;
  for (const auto& [flag, value] :
       {std::pair("--memory", &options.memory), {"--pids-limit", &options.pids_limit}})
    if (*value && (**value == "-1" || **value == "0")) return std::string(flag) + " " + **value;
  if (options.oom_score_adj && options.oom_score_adj->starts_with('-'))
    return "--oom-score-adj " + *options.oom_score_adj;
  return {};
}

bool mounts_on(const RunOptions& options, std::string_view destination) {
  const auto names = [&](const std::vector<std::string>& texts) {
    return std::ranges::any_of(texts, [&](const std::string& text) {
      return text == destination || text.find(std::string(destination) + ":") == 0 ||
             text.find(":" + std::string(destination)) != std::string::npos ||
             text.find("=" + std::string(destination)) != std::string::npos;
    });
  };
  return names(options.tmpfs) || names(options.volumes) || names(options.mounts);
}

}  // namespace

Result<RunOptions> with_preset(const RunOptions& given) {
  RunOptions options = given;
  if (!options.preset) return options;
  if (*options.preset != "untrusted")
    return refuse_flag("--preset", *options.preset, "there is no such preset",
                       "there is untrusted");
  if (const std::string flag = weakening(options); !flag.empty())
    return fail(ErrorKind::kUsage, "--preset untrusted and " + flag + " contradict each other",
                "leave one of them out");
  options.read_only = true;
  options.cap_drop = {"ALL"};
  if (!mounts_on(options, "/tmp")) options.tmpfs.emplace_back("/tmp:size=64m,mode=1777");
  if (!options.memory) options.memory = "256m";
  if (!options.pids_limit) options.pids_limit = "128";
  if (!options.cpus && !options.cpu_quota) options.cpus = "1";
  if (!options.shm_size && options.ipc_namespace != "none") options.shm_size = "16m";
  if (!options.oom_score_adj) options.oom_score_adj = "500";
  const auto limits = [&](std::string_view name) {
    return std::ranges::any_of(options.ulimits,
                               [&](const std::string& text) { return text.starts_with(name); });
  };
  if (!limits("core=")) options.ulimits.emplace_back("core=0");
  if (!limits("nofile=")) options.ulimits.emplace_back("nofile=1024");
  return options;
}

std::string preset_landlock(const Wish& wish) {
  std::string text;
  json::Writer writer(text);
  const auto path = [&](std::string_view name, std::initializer_list<std::string_view> access) {
    writer.begin_object();
    writer.member("path", name);
    writer.key("access");
    writer.begin_array();
    for (const std::string_view word : access) writer.string(word);
    writer.end_array();
    writer.member("optional", true);
    writer.end_object();
  };
  writer.begin_object();
  // An older kernel enforces what it can: the other layers do not lean on this one.
  writer.member("mode", "best-effort");
  writer.key("paths");
  writer.begin_array();
  path("/", {"read", "execute"});
  path("/proc", {"read", "write"});
  path("/dev", {"read", "write", "ioctl"});
  if (wish.sharing.shm) path("/dev/shm", {"all"});
  for (const TmpfsMount& tmpfs : wish.tmpfs) path(tmpfs.destination, {"all"});
  for (const Volume& volume : wish.volumes)
    if (!volume.read_only) path(volume.destination, {"all"});
  writer.end_array();
  writer.key("scopes");
  writer.begin_array();
  writer.string("abstract-unix-sockets");
  writer.string("signals");
  writer.end_array();
  writer.end_object();
  return text;
}

}  // namespace bulkhead::engine
