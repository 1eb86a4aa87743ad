#include "engine/sharing.h"

#include <algorithm>

#include "base/text.h"
#include "engine/flag_error.h"
#include "engine/values.h"
#include "isolation/sysctl/sysctl.h"

namespace bulkhead::engine {
namespace {

constexpr std::string_view kContainer = "container:";

// "host", "container:NAME", or what else the flag knows as the container's own.
Result<NamespaceChoice> read_choice(std::string_view flag, const std::optional<std::string>& text,
                                    std::string_view own, bool joinable, std::string_view others) {
  NamespaceChoice choice;
  if (!text || text->empty() || *text == own) return choice;
  if (*text == "host") {
    choice.source = NamespaceSource::kHost;
    return choice;
  }
  if (joinable && text->starts_with(kContainer)) {
    choice.source = NamespaceSource::kContainer;
    choice.container = text->substr(kContainer.size());
    if (!is_container_name(choice.container))
      return refuse_flag(flag, *text, "the name or id of a container is expected after container:");
    return choice;
  }
  return refuse_flag(flag, *text, "this is not known", "there are " + std::string(others));
}

Result<void> read_ipc(const RunOptions& options, Sharing& sharing) {
  const std::string mode = options.ipc_namespace.value_or("private");
  if (mode == "shareable" || mode == "none") {
    sharing.ipc_shareable = mode == "shareable";
    sharing.shm = mode != "none";
  } else {
    TRY_ASSIGN(sharing.ipc, read_choice("--ipc", options.ipc_namespace, "private", true,
                                        "private, shareable, none, host and container:NAME"));
  }
  if (options.shm_size && (!sharing.shm || !sharing.ipc.own()))
    return fail(ErrorKind::kUsage, "--shm-size and --ipc " + mode + " contradict each other",
                "the size is that of the container's own /dev/shm");
  return {};
}

Result<void> read_clocks(const std::optional<std::string>& text, Sharing& sharing) {
  if (!text) return {};
  if (*text == "host") {
    sharing.clocks_begin = std::nullopt;
    return {};
  }
  const auto milliseconds = *text == "0" ? std::optional<std::int64_t>(0) : parse_duration(*text);
  if (!milliseconds || *milliseconds % 1000 != 0)
    return refuse_flag("--time-offset", *text,
                       "a duration in whole seconds such as 0, 90s or 48h is expected, or host",
                       "it is what the container's clocks since boot begin at (0 by default); the "
                       "time of day is the host's always");
  sharing.clocks_begin = *milliseconds / 1000;
  return {};
}

Result<void> read_cgroup_parent(const std::optional<std::string>& text, Sharing& sharing) {
  if (!text) return {};
  if (text->ends_with(".slice"))
    return refuse_flag("--cgroup-parent", *text, "slices of systemd are not supported",
                       "give the path of a group, such as /batch");
  std::string path;
  for (const std::string_view part : split(*text, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." || part.find('\0') != part.npos || part.find('\n') != part.npos)
      return refuse_flag("--cgroup-parent", *text, "not the path of a group");
    path.append("/").append(part);
  }
  if (path.empty() || path.size() > 2000)
    return refuse_flag("--cgroup-parent", *text, "the path of a group is expected, such as /batch");
  sharing.cgroup_parent = std::move(path);
  return {};
}

}  // namespace

const std::string& Sharing::joined() const {
  for (const NamespaceChoice* choice : {&user, &pid, &ipc})
    if (choice->source == NamespaceSource::kContainer) return choice->container;
  return user.container;
}

Result<Sharing> read_sharing(const RunOptions& options) {
  Sharing sharing;
  sharing.user_said = options.user_namespace.has_value();
  TRY_ASSIGN(sharing.user, read_choice("--userns", options.user_namespace, "private", true,
                                       "private (a range of ids that nobody else has), host and "
                                       "container:NAME"));
  // Docker's: all of the host's devices are of little use to an id that means nothing there.
  if (options.privileged && !sharing.user_said) sharing.user.source = NamespaceSource::kHost;
  TRY_ASSIGN(sharing.pid, read_choice("--pid", options.pid_namespace, "private", true,
                                      "private, host and container:NAME"));
  TRY(read_ipc(options, sharing));
  TRY_ASSIGN(sharing.uts,
             read_choice("--uts", options.uts_namespace, "private", false, "private and host"));
  TRY_ASSIGN(sharing.cgroup, read_choice("--cgroupns", options.cgroup_namespace, "private", false,
                                         "private and host"));
  if (sharing.uts.host() && (options.hostname || options.domainname))
    return fail(ErrorKind::kUsage,
                "--uts host and --hostname or --domainname contradict each other",
                "the names are the host's own then");
  for (const NamespaceChoice* choice : {&sharing.user, &sharing.pid, &sharing.ipc})
    if (choice->source == NamespaceSource::kContainer && choice->container != sharing.joined())
      return fail(ErrorKind::kUsage, "namespaces of two containers cannot be joined at once",
                  "each container has a user namespace of its own, which owns the others");
  TRY(read_clocks(options.time_offset, sharing));
  TRY(read_cgroup_parent(options.cgroup_parent, sharing));
  return sharing;
}

Result<std::map<std::string, std::string>> read_sysctls(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> settings;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      return refuse_flag("--sysctl", text, "NAME=VALUE is expected",
                         "such as net.ipv4.ip_forward=1");
    const std::string name = text.substr(0, equals);
    auto parts = isolation::sysctl_parts(name);
    if (!parts) return refuse_flag("--sysctl", text, "not the name of a parameter");
    settings[name] = text.substr(equals + 1);
  }
  return settings;
}

}  // namespace bulkhead::engine
