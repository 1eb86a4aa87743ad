#include "engine/wish.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/text.h"
#include "engine/flag_error.h"
#include "engine/mount_flag.h"
#include "engine/preset.h"
#include "engine/security_options.h"
#include "engine/values.h"
#include "isolation/capabilities/default_set.h"
#include "isolation/mounts/place.h"
#include "sys/error.h"

namespace bulkhead::engine {
namespace {

constexpr std::int64_t kLeastMemory = 512 << 10;

constexpr auto refuse = [](std::string_view flag, std::string_view value, std::string_view why,
                           std::string hint = {}) {
  return refuse_flag(flag, value, why, std::move(hint));
};

Result<std::int64_t> read_size(std::string_view flag, const std::string& text) {
  if (text == "-1" || text == "0") return -1;  // Docker's users write either
  const auto bytes = parse_bytes(text);
  if (!bytes || *bytes == 0)
    return refuse(flag, text, "a size such as 512m or 2g is expected, or -1 for no limit");
  return *bytes;
}

Result<void> read_limits(const RunOptions& options, Wish& wish) {
  if (options.memory) {
    TRY_ASSIGN(wish.memory, read_size("--memory", *options.memory));
    if (*wish.memory >= 0 && *wish.memory < kLeastMemory)
      return refuse("--memory", *options.memory, "too small for any container",
                    "give at least 512k");
  }
  if (options.memory_swap) {
    TRY_ASSIGN(wish.memory_swap, read_size("--memory-swap", *options.memory_swap));
    if (!wish.memory || *wish.memory < 0)
      return refuse("--memory-swap", *options.memory_swap, "is of use only with --memory");
    if (*wish.memory_swap >= 0 && *wish.memory_swap < *wish.memory)
      return refuse("--memory-swap", *options.memory_swap,
                    "is memory and swap together: not less than --memory");
  }
  if (options.cpus) {
    wish.cpu_thousandths = parse_cpus(*options.cpus);
    if (!wish.cpu_thousandths || (*wish.cpu_thousandths > 0 && *wish.cpu_thousandths < 10))
      return refuse("--cpus", *options.cpus,
                    "a number such as 1.5 is expected, at least 0.01, or 0 for no limit");
  }
  if (options.pids_limit) {
    const auto number = parse_number<std::int64_t>(*options.pids_limit);
    if (!number || *number < -1)
      return refuse("--pids-limit", *options.pids_limit,
                    "a number is expected, or -1 for no limit");
    wish.pids_limit = *number == 0 ? -1 : *number;
  }
  if (options.timeout) {
    wish.timeout_milliseconds = parse_duration(*options.timeout);
    if (!wish.timeout_milliseconds)
      return refuse("--timeout", *options.timeout,
                    "a duration such as 30s, 500ms or 1m30s is expected");
  }
  return {};
}

// In order of the first occurrence; what both name is an error of the user's.
Result<std::uint64_t> capability_mask(std::string_view flag, const std::vector<std::string>& names,
                                      bool& all) {
  std::uint64_t mask = 0;
  for (const std::string& list : names) {
    for (const std::string_view name : split(list, ',')) {
      if (name == "ALL" || name == "all") {
        all = true;
        continue;
      }
      const auto number = isolation::capability_number_of_user(name);
      if (!number)
        return refuse(flag, name, "there is no such capability",
                      "names are those of capabilities(7), with or without CAP_, or ALL");
      mask |= isolation::capability_bit(*number);
    }
  }
  return mask;
}

// What --privileged means where nothing else was said: Docker's, which is everything.
void open_security(const RunOptions& options, SecurityChoices& security) {
  const auto said = [&](std::string_view name) {
    return std::ranges::any_of(options.security_options,
                               [&](const std::string& option) { return option.starts_with(name); });
  };
  if (!said("seccomp")) security.seccomp_unconfined = true;
  if (!said("apparmor")) security.apparmor = "unconfined";
  if (!said("label")) security.selinux_disabled = true;
  if (!said("no-new-privileges")) security.no_new_privileges = false;
  if (!said("landlock")) security.landlock = "unconfined";
  security.system_paths_open = true;
}

// Docker's: of two mounts on one place, which one counts would be a guess.
Result<void> check_destinations(const Wish& wish) {
  std::set<std::string> places;
  const auto add = [&](const std::string& destination) -> Result<void> {
    if (places.insert(isolation::clean_path(destination)).second) return {};
    return fail(ErrorKind::kUsage, "two mounts on " + quoted(destination),
                "leave one of --volume, --mount and --tmpfs out");
  };
  for (const Volume& volume : wish.volumes) TRY(add(volume.destination));
  for (const TmpfsMount& tmpfs : wish.tmpfs) TRY(add(tmpfs.destination));
  return {};
}

Result<void> read_mounts(const RunOptions& options, Wish& wish) {
  if (options.volume_driver != "local")
    return refuse("--volume-driver", options.volume_driver, "there is no such driver",
                  "there is local; mount what others bring on the host, and bind it");
  for (const std::string& text : options.volumes) {
    TRY_ASSIGN(Volume volume, parse_volume(text));
    wish.volumes.push_back(std::move(volume));
  }
  for (const std::string& text : options.tmpfs) {
    TRY_ASSIGN(TmpfsMount tmpfs, parse_tmpfs(text));
    wish.tmpfs.push_back(std::move(tmpfs));
  }
  for (const std::string& text : options.mounts) {
    TRY_ASSIGN(auto mount, parse_mount(text));
    if (auto* const volume = std::get_if<Volume>(&mount))
      wish.volumes.push_back(std::move(*volume));
    else
      wish.tmpfs.push_back(std::move(std::get<TmpfsMount>(mount)));
  }
  TRY(check_destinations(wish));
  wish.volumes_from = options.volumes_from;
  // The host's root owns what the ids of a container without a user namespace are.
  if (wish.sharing.user.host())
    for (Volume& volume : wish.volumes) volume.id_mapped = false;
  return {};
}

Result<void> read_identity(const RunOptions& options, Wish& wish) {
  wish.hostname = options.hostname;
  if (wish.hostname && !is_host_name(*wish.hostname))
    return refuse("--hostname", *wish.hostname,
                  "not a host name: letters, digits, hyphens and dots, at most 64 bytes");
  wish.domainname = options.domainname.value_or("");
  if (options.domainname && !is_host_name(*options.domainname))
    return refuse("--domainname", *options.domainname,
                  "not a name: letters, digits, hyphens and dots, at most 64 bytes");
  wish.user = options.user;
  for (const std::string& group : options.group_add) {
    if (group.empty() || group.find_first_of(":\n,") != std::string::npos)
      return refuse("--group-add", group, "the name or number of a group is expected");
    wish.group_add.push_back(group);
  }
  return {};
}

}  // namespace

Result<void> check_container_path(std::string_view flag, std::string_view path) {
  if (!path.starts_with('/'))
    return refuse(flag, path, "the path in the container must be absolute");
  if (path.find('\0') != std::string_view::npos || path.size() > 4095)
    return refuse(flag, path, "not a path");
  for (const std::string_view component : split(path, '/'))
    if (component == "..") return refuse(flag, path, "the path in the container has \"..\" in it");
  return {};
}

Result<std::vector<std::string>> choose_capabilities(const std::vector<std::string>& added,
                                                     const std::vector<std::string>& dropped) {
  bool add_all = false;
  bool drop_all = false;
  TRY_ASSIGN(const std::uint64_t add, capability_mask("--cap-add", added, add_all));
  TRY_ASSIGN(const std::uint64_t drop, capability_mask("--cap-drop", dropped, drop_all));
  if (add_all && drop_all)
    return fail(ErrorKind::kUsage, "--cap-add ALL and --cap-drop ALL contradict each other");
  if ((add & drop) != 0)
    return fail(ErrorKind::kUsage, "--cap-add and --cap-drop both name " +
                                       isolation::capability_set_in_words(add & drop));
  // As Docker has it: ALL is the base on one side, single names then correct it.
  std::uint64_t set = isolation::default_capability_set();
  if (drop_all) set = 0;
  if (add_all) set = isolation::all_capabilities(isolation::kCapabilityCount - 1);
  return isolation::capability_names((set & ~drop) | add);
}

Result<TmpfsMount> parse_tmpfs(std::string_view text) {
  TmpfsMount tmpfs;
  std::string_view rest = text;
  tmpfs.destination = next_field(rest, ':');
  TRY(check_container_path("--tmpfs", tmpfs.destination));
  if (tmpfs.destination.find_first_not_of('/') == std::string::npos)
    return refuse("--tmpfs", text, "the destination must not be /");
  if (rest.empty()) return tmpfs;
  for (const std::string_view option : split(rest, ',')) {
    std::string_view value = option;
    const std::string_view name = next_field(value, '=');
    const bool known_word = option == "ro" || option == "rw" || option == "exec" ||
                            option == "noexec" || option == "nosuid" || option == "nodev";
    const bool known_value = name == "size" || name == "mode" || name == "uid" || name == "gid" ||
                             name == "nr_inodes" || name == "nr_blocks";
    if (!known_word && !(known_value && !value.empty()))
      return refuse(
          "--tmpfs", text, "the option " + quoted(option) + " is not supported",
          "there are size=, mode=, uid=, gid=, nr_inodes=, nr_blocks=, ro, rw, exec, noexec, "
          "nosuid and nodev");
    tmpfs.options.emplace_back(option);
  }
  return tmpfs;
}

// The init's file stands in the container's own /dev: in one that comes from elsewhere, the place for it
// would be made on the host, and whoever owns it could put another program there.
Result<void> check_init(const Wish& wish) {
  if (!wish.init) return {};
  if (!wish.sharing.pid.own())
    return fail(ErrorKind::kUsage, "--init is process 1 of a pid namespace of the container's own",
                "leave --init or --pid out");
  const auto covers = [](std::string_view destination) {
    while (destination.size() > 1 && destination.ends_with('/')) destination.remove_suffix(1);
    return destination == "/dev" || destination == kInitPath;
  };
  for (const Volume& volume : wish.volumes)
    if (covers(volume.destination))
      return refuse("--volume", volume.source + ":" + volume.destination,
                    "--init has its program there");
  for (const TmpfsMount& tmpfs : wish.tmpfs)
    if (covers(tmpfs.destination))
      return refuse("--tmpfs", tmpfs.destination, "--init has its program there");
  return {};
}

Result<Wish> read_wish(const RunOptions& given) {
  TRY_ASSIGN(const RunOptions options, with_preset(given));
  Wish wish;
  wish.untrusted = options.preset.has_value();
  wish.privileged = options.privileged;
  wish.terminal = options.terminal;
  wish.read_only = options.read_only;
  wish.init = options.init;
  wish.entrypoint = options.entrypoint;
  wish.command = options.command;
  wish.pass_signals = options.pass_signals;
  TRY(read_identity(options, wish));
  wish.workdir = options.workdir;
  if (wish.workdir) TRY(check_container_path("--workdir", *wish.workdir));
  TRY_ASSIGN(wish.env, read_environment(options));
  TRY_ASSIGN(wish.metadata, read_metadata(options));
  std::vector<std::string> added = options.cap_add;
  if (options.privileged) added = {"ALL"};
  TRY_ASSIGN(wish.capabilities, choose_capabilities(added, options.cap_drop));
  TRY_ASSIGN(wish.security, read_security_options(options.security_options));
  if (options.privileged) open_security(options, wish.security);
  TRY(read_limits(options, wish));
  TRY_ASSIGN(wish.limits, read_further_limits(options));
  TRY_ASSIGN(wish.storage, read_storage_options(options.storage, options.storage_options));
  TRY_ASSIGN(wish.sharing, read_sharing(options));
  TRY_ASSIGN(wish.devices, read_devices(options));
  TRY_ASSIGN(wish.sysctls, read_sysctls(options.sysctls));
  if (options.network == "host") {
    wish.network = NetworkMode::kHost;
  } else if (options.network != "none") {
    return refuse("--network", options.network, "this network is not supported yet",
                  "there are none (loopback only) and host (no isolation of the network at all)");
  }
  TRY(read_mounts(options, wish));
  TRY(check_init(wish));
  return wish;
}

}  // namespace bulkhead::engine
