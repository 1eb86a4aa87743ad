#include "engine/prepare.h"

#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include <algorithm>

#include "base/text.h"
#include "engine/container_user.h"
#include "engine/container_volumes.h"
#include "engine/events.h"
#include "engine/image_choice.h"
#include "engine/image_files.h"
#include "engine/registry.h"
#include "engine/values.h"
#include "isolation/lsm/default_profile.h"
#include "isolation/seccomp/profile_file.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostProfileBytes = 1 << 20;

std::int64_t seconds_of(clockid_t clock) {
  struct timespec now{};
  return ::clock_gettime(clock, &now) == 0 ? now.tv_sec : 0;
}

Result<void> observe_host(Circumstances& circumstances) {
  struct sysinfo info{};
  if (::sysinfo(&info) != 0) return std::unexpected(Error(SysError{"sysinfo", errno}));
  circumstances.host_memory = std::uint64_t{info.totalram} * info.mem_unit;
  circumstances.host_has_swap = info.totalswap != 0;
  circumstances.time_namespace = ::access("/proc/self/ns/time", F_OK) == 0;
  circumstances.monotonic_seconds = seconds_of(CLOCK_MONOTONIC);
  circumstances.boottime_seconds = seconds_of(CLOCK_BOOTTIME);
  struct utsname names{};
  if (::uname(&names) == 0) circumstances.host_name = names.nodename;
  struct stat queue{};
  struct stat dev{};
  circumstances.host_mqueue =
      ::stat("/dev/mqueue", &queue) == 0 && ::stat("/dev", &dev) == 0 && queue.st_dev != dev.st_dev;
  return {};
}

bool has_apparmor() {
  char answer[4];
  const auto text = read_small_file_at(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", answer);
  return text && text->starts_with('Y');
}

// The default profile, loaded where the kernel has AppArmor. It is a default: where it cannot be had
// the container runs without, and says so.
void choose_apparmor(const SecurityChoices& security, Prepared& prepared) {
  if (security.apparmor || !has_apparmor()) return;
  isolation::AppArmorPaths paths;
  paths.profile = storage::own_directory() + "/../share/bulkhead/apparmor/" +
                  std::string(kDefaultAppArmorProfile);
  const auto loaded = isolation::load_default_profile(paths);
  if (loaded)
    prepared.circumstances.apparmor = true;
  else
    prepared.warnings.push_back("no AppArmor profile: " + loaded.error().message());
}

Result<void> check_volumes(const std::vector<Volume>& volumes) {
  for (const Volume& volume : volumes) {
    if (volume.kept_here) continue;
    if (::access(volume.source.c_str(), F_OK) == 0) continue;
    const SysError error{"access", errno, volume.source.c_str()};
    return std::unexpected(
        Error(error)
            .within("--volume " + quoted(volume.source + ":" + volume.destination))
            .with_hint("make the source first: bulkhead never makes directories on the host"));
  }
  return {};
}

Result<oci::Seccomp> read_seccomp_profile(const std::string& path,
                                          const std::vector<std::string>& capabilities) {
  TRY_ASSIGN(const std::string json, read_file_at(AT_FDCWD, path.c_str(), kMostProfileBytes));
  isolation::seccomp::ProfileContext context{.granted = capabilities};
  struct utsname kernel{};
  if (::uname(&kernel) == 0) {
    std::string_view release = kernel.release;
    context.kernel_major = parse_number<int>(next_field(release, '.')).value_or(0);
    context.kernel_minor =
        parse_number<int>(release.substr(0, release.find_first_not_of("0123456789"))).value_or(0);
  }
  return isolation::seccomp::read_profile_file(json, context);
}

Result<void> read_policies(const SecurityChoices& security,
                           const std::vector<std::string>& capabilities,
                           Circumstances& circumstances) {
  if (!security.seccomp_profile.empty()) {
    auto profile = read_seccomp_profile(security.seccomp_profile, capabilities);
    if (!profile)
      return std::unexpected(std::move(profile).error().within("--security-opt seccomp"));
    circumstances.seccomp = *std::move(profile);
  }
  if (security.landlock && *security.landlock != "unconfined") {
    auto rules = read_file_at(AT_FDCWD, security.landlock->c_str(), kMostProfileBytes);
    if (!rules) return std::unexpected(std::move(rules).error().within("--security-opt landlock"));
    circumstances.landlock = *std::move(rules);
  }
  return {};
}

// How the limit of the root file system's size will be enforced.
Result<std::optional<storage::SizeLimit>> choose_limit(const storage::Store& store,
                                                       const Wish& wish,
                                                       const RunOptions& options) {
  if (!wish.storage.size) return std::nullopt;
  const storage::Upper upper = options.remove ? storage::Upper::kDiscarded : storage::Upper::kKept;
  storage::LimitAbilities abilities = storage::limit_abilities(store.get());
  // A project has the number of the container's first id; and only who lives in a user namespace of its
  // own cannot give its files to another project, which nobody counts.
  if (!wish.sharing.user.own() || !wish.sharing.joined().empty())
    abilities.project_quota = "the container has no range of ids of its own";
  TRY_ASSIGN(const storage::LimitMethod method,
             storage::choose_limit_method(abilities, wish.storage.size_method, upper));
  return storage::SizeLimit{*wish.storage.size, method};
}

void describe_storage(Prepared& prepared) {
  Circumstances& circumstances = prepared.circumstances;
  circumstances.storage = storage::describe(prepared.wish.storage.layers);
  if (!prepared.limit) return;
  const storage::SizeLimit& limit = *prepared.limit;
  circumstances.size_limit =
      std::to_string(limit.bytes) + " bytes by " + storage::describe(limit.method);
  const std::int64_t memory = memory_limit(prepared.wish, circumstances);
  if (limit.method == storage::LimitMethod::kTmpfs && memory > 0 &&
      limit.bytes >= static_cast<std::uint64_t>(memory))
    prepared.warnings.emplace_back(
        "the root file system's size is limited by a tmpfs, and its memory limit is no larger: the "
        "container is killed for lack of memory before it finds its disk full");
}

Result<void> add_groups(const std::vector<std::string>& names, const ImageFiles& files,
                        oci::User& user) {
  for (const std::string& name : names) {
    TRY_ASSIGN(const ContainerGid gid, resolve_group(name, "--group-add", [&](const char* file) {
                 return files.read("etc", file);
               }));
    if (std::ranges::find(user.additional_gids, gid) == user.additional_gids.end())
      user.additional_gids.push_back(gid);
  }
  return {};
}

// What the flags name of the host: devices, CDI's files, another container.
Result<void> find_named(const RunOptions& options, Prepared& prepared) {
  Wish& wish = prepared.wish;
  Circumstances& circumstances = prepared.circumstances;
  TRY_ASSIGN(circumstances.cdi, find_cdi_devices(wish.devices.cdi));
  DeviceWishes devices = wish.devices;
  // With ids of its own a container is given single devices: all of them would be the host.
  devices.all = devices.all && wish.sharing.user.host();
  TRY_ASSIGN(circumstances.devices, find_devices(devices, circumstances.cdi));
  TRY(find_block_devices(wish.limits));
  if (wish.sharing.joined().empty()) return {};
  TRY_ASSIGN(prepared.joined, join_container(prepared.store, state_root_of(options.store), wish));
  circumstances.joined = prepared.joined->namespaces;
  return {};
}

void warn_of_privileges(Prepared& prepared) {
  if (!prepared.wish.privileged) return;
  std::string what;
  for (const std::string& line : opened_by(prepared.wish, prepared.circumstances))
    what.append(what.empty() ? "" : "; ").append(line.substr(0, line.find(':')));
  prepared.warnings.push_back(
      "--privileged opens: " + what +
      (prepared.wish.sharing.user.host()
           ? ". The container's root can take over the host; --userns private keeps ids apart"
           : ". Ids stay the container's own (--userns private)"));
}

}  // namespace

storage::Snapshot snapshot_of(const Prepared& prepared, const RunOptions& options) {
  storage::Snapshot snapshot;
  snapshot.store = prepared.store.get();
  snapshot.layers = storage::lower_paths(prepared.record);
  snapshot.upper = options.remove ? storage::Upper::kDiscarded : storage::Upper::kKept;
  snapshot.form = prepared.wish.storage.layers;
  snapshot.limit = prepared.limit;
  return snapshot;
}

IdWish ids_for(const Prepared& prepared) {
  IdWish ids;
  ids.none = prepared.wish.sharing.user.host();
  if (prepared.joined && prepared.joined->own_ids) ids.shared_first = prepared.joined->first_uid;
  return ids;
}

std::vector<std::string> own_mounts_of(const Prepared& prepared) {
  std::vector<std::string> destinations;
  if (prepared.wish.init) destinations.emplace_back(kInitPath);
  if (!prepared.wish.sharing.user.host())
    for (const DeviceNode& node : prepared.circumstances.devices) destinations.push_back(node.path);
  if (prepared.joined)
    for (const isolation::HandedMount& mount : prepared.joined->mounts)
      destinations.push_back(mount.destination);
  for (const Volume& volume : prepared.wish.volumes)
    if (volume.kept_here) destinations.push_back(volume.destination);
  return destinations;
}

Result<std::vector<isolation::HandedMount>> make_handed_mounts(Prepared& prepared) {
  const Circumstances& circumstances = prepared.circumstances;
  std::vector<isolation::HandedMount> mounts;
  if (!prepared.wish.sharing.user.host()) {
    TRY_ASSIGN(mounts, make_device_nodes(circumstances.devices, circumstances.first_uid,
                                         circumstances.first_gid));
  }
  if (prepared.joined)
    for (isolation::HandedMount& mount : prepared.joined->mounts)
      mounts.push_back(std::move(mount));
  TRY(add_volume_mounts(prepared.store, mounts_of(prepared.wish), mounts));
  return mounts;
}

std::string state_root_of(const StoreOptions& options) { return options.runroot + "/runtime"; }

Result<Prepared> prepare(const RunOptions& options) {
  for (const std::string* path : {&options.store.root, &options.store.runroot})
    if (!path->starts_with('/'))
      return fail(ErrorKind::kUsage, quoted(*path) + " is not an absolute path",
                  "--root and --runroot want one");
  TRY_ASSIGN(Wish wish, read_wish(options));
  TRY_ASSIGN(const Pull pull, pull_policy(options.pull));
  if (!options.name.empty() && !is_container_name(options.name))
    return fail(ErrorKind::kUsage, "--name " + quoted(options.name) + ": not a name",
                "a letter or digit, then letters, digits and _ . -");
  if (::geteuid() != 0)
    return fail(
        ErrorKind::kPermission, "bulkhead run needs to be root",
        "rootless containers of bulkhead are not supported yet; bulkhead-runtime runs them");
  TRY_ASSIGN(storage::Store store, storage::Store::open(options.store.root));
  TRY_ASSIGN(ChosenImage chosen,
             choose_image(store, events_directory(options.store), options.image, pull));
  storage::ImageRecord& record = chosen.record;
  auto image = oci::decode_image_config(record.config);
  if (!image) return std::unexpected(std::move(image).error().within("the image's configuration"));
  if (image->os != "linux" || image->architecture != oci::own_architecture())
    return fail(ErrorKind::kUnsupported, "image " + quoted(options.image) + " is for " +
                                             quoted(image->os + "/" + image->architecture) +
                                             ", this machine is linux/" +
                                             std::string(oci::own_architecture()));

  TRY(add_inherited_volumes(options.store, store, *image, wish));
  TRY(check_volumes(wish.volumes));
  TRY(check_init(wish));

  Circumstances circumstances;
  circumstances.id = options.id;
  if (circumstances.id.empty()) {
    TRY_ASSIGN(circumstances.id, new_id());
  }
  circumstances.name = options.name.empty() ? circumstances.id.substr(0, 12) : options.name;
  circumstances.image = options.image;
  const ImageFiles files(store.get(), storage::lower_paths(record));
  TRY_ASSIGN(circumstances.user,
             resolve_user(wish.user.value_or(image->config.user),
                          wish.user ? "--user" : "the image's user",
                          [&](const char* name) { return files.read("etc", name); }));
  TRY(add_groups(wish.group_add, files, circumstances.user));
  TRY(observe_host(circumstances));
  if (wish.init) {
    TRY_ASSIGN(circumstances.init, storage::find_helper("bulkhead-init"));
  }
  TRY(read_policies(wish.security, wish.capabilities, circumstances));
  TRY_ASSIGN(auto limit, choose_limit(store, wish, options));
  Prepared prepared{std::move(wish),
                    std::move(store),
                    std::move(record),
                    *std::move(image),
                    limit,
                    std::move(circumstances),
                    std::move(chosen.lock),
                    {},
                    {},
                    {}};
  TRY_ASSIGN(prepared.health, choose_health_check(options, prepared.image.config));
  TRY(find_named(options, prepared));
  describe_storage(prepared);
  choose_apparmor(prepared.wish.security, prepared);
  warn_of_privileges(prepared);
  return prepared;
}

}  // namespace bulkhead::engine
