#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "isolation/lsm/mount_label.h"
#include "isolation/mounts/parent_mounts.h"
#include "isolation/mounts/plan.h"
#include "isolation/rootfs/rootfs.h"

namespace bulkhead::isolation {
namespace {

// Files of procfs that may be replaced one by one, as lxcfs does: they only inform. Everything else
// there is written or trusted by someone.
constexpr std::array<std::string_view, 11> kReplaceableProcFiles = {
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled"};

class Describer {
 public:
  Describer(const Request& request, const HostFacts& host)
      : request_(request), host_(host), layout_(request.spec) {
    for (const oci::Namespace& space : request.spec.linux_.namespaces) {
      if (space.type == oci::NamespaceType::kUser) user_namespace_ = true;
      if (space.type == oci::NamespaceType::kCgroup) cgroup_namespace_ = true;
    }
    for (const oci::Mount& mount : request.spec.mounts)
      if (parse_mount_options(mount.options).propagation == MS_SHARED) any_shared_ = true;
    parent_opens_ = parent_opens_sources(request, host);
    if (request.root_from_parent || parent_opens_) next_parent_mount_ = 1;
  }

  Result<MountsPlan> all();

 private:
  Result<MountPlan> one(const oci::Mount& mount);
  static void close_filled_scratch(MountsPlan& plan);
  Result<void> bind(MountPlan& plan, const oci::Mount& mount);
  Result<void> host_sysfs(MountPlan& plan);
  Result<void> file_system(MountPlan& plan, const oci::Mount& mount);
  Result<void> cgroup(MountPlan& plan, const oci::Mount& mount);
  Result<void> check_procfs(const MountPlan& plan, bool bind) const;
  Result<void> identity_maps(MountPlan& plan, const oci::Mount& mount);
  void bind_attributes(MountPlan& plan) const;
  Result<void> fresh_attributes(MountPlan& plan, const oci::Mount& mount);
  CgroupView view_of(const CgroupHierarchy& hierarchy) const;

  std::unexpected<Error> refuse(std::string_view field, std::string message,
                                std::string hint) const {
    return fail(
        ErrorKind::kInvalid,
        "/mounts/" + std::to_string(number_) + std::string(field) + ": " + std::move(message),
        std::move(hint));
  }

  const Request& request_;
  const HostFacts& host_;
  MountLayout layout_;
  bool user_namespace_ = false;
  bool cgroup_namespace_ = false;
  bool parent_opens_ = false;
  bool any_shared_ = false;
  std::size_t next_parent_mount_ = 0;
  std::size_t number_ = 0;
  MountOptions options_;
};

Result<MountsPlan> Describer::all() {
  MountsPlan plan;
  plan.mounts.reserve(request_.spec.mounts.size());
  for (; number_ < request_.spec.mounts.size(); ++number_) {
    TRY_ASSIGN(MountPlan mount, one(request_.spec.mounts[number_]));
    plan.mounts.push_back(std::move(mount));
  }
  close_filled_scratch(plan);
  return plan;
}

// A read-only tmpfs that later mounts stand in must be written until their places are made in it
// (Docker's /etc/hosts on `--tmpfs /etc:ro`): it is closed when all of them are there.
void Describer::close_filled_scratch(MountsPlan& plan) {
  const std::size_t count = plan.mounts.size();
  for (std::size_t i = 0; i < count; ++i) {
    MountPlan& mount = plan.mounts[i];
    if (mount.type != "tmpfs" || mount.becomes != Anchor::kRoot || mount.hidden ||
        mount.method == MountMethod::kRemount || (mount.attributes.set & MOUNT_ATTR_RDONLY) == 0)
      continue;
    const std::string beneath = mount.place.absolute + "/";
    const auto begin = plan.mounts.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    const auto end = plan.mounts.begin() + static_cast<std::ptrdiff_t>(count);
    if (std::none_of(begin, end, [&](const MountPlan& later) {
          return later.place.absolute.starts_with(beneath);
        }))
      continue;
    MountPlan closing;
    closing.method = MountMethod::kRemount;
    closing.place = mount.place;
    closing.number = mount.number;
    closing.flags = mount.flags | MS_REMOUNT | MS_BIND | MS_RDONLY;
    closing.attributes.set = mount.attributes.set;  // what verify asks for
    mount.attributes.set &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
    mount.flags &= ~static_cast<unsigned long>(MS_RDONLY);
    std::erase_if(mount.parameters, [](const auto& each) { return each.first == "ro"; });
    plan.mounts.push_back(std::move(closing));
  }
}

Result<MountPlan> Describer::one(const oci::Mount& mount) {
  if (mount.destination.empty())
    return refuse("/destination", "is empty", "name an absolute path in the container");
  for (const std::string* text : {&mount.destination, &mount.type, &mount.source})
    if (text->find('\0') != std::string::npos)
      return refuse("", quoted(*text) + " holds a NUL byte", "");
  for (const std::string& option : mount.options)
    if (option.find('\0') != std::string::npos)
      return refuse("/options", quoted(option) + " holds a NUL byte", "");

  options_ = parse_mount_options(mount.options);
  MountPlan plan;
  plan.number = number_;
  plan.place = layout_.place_of(layout_.destination(number_), number_);
  plan.becomes = layout_.anchor_of_mount(number_);
  plan.hidden = layout_.is_hidden(number_);
  if (plan.place.absolute == "/" && !options_.remount)
    return refuse("/destination", quoted(mount.destination) + " is the root itself",
                  "set root.path, or mount beneath it");

  const bool is_bind = options_.bind || mount.type == "bind";
  TRY(check_procfs(plan, is_bind));
  if (options_.idmap != IdMapScope::kNone || mount.uid_mappings || mount.gid_mappings)
    TRY(identity_maps(plan, mount));
  if (options_.remount) {
    plan.method = MountMethod::kRemount;
    plan.data = options_.joined_data();
    plan.flags = classic_flags(options_) | MS_REMOUNT;
    if (is_bind) plan.flags |= MS_BIND;
    return plan;
  }
  if (is_bind)
    TRY(bind(plan, mount));
  else if (mount.type == "cgroup" || mount.type == "cgroup2")
    TRY(cgroup(plan, mount));
  else if (mount.type == "sysfs" && binds_host_sysfs(request_.spec))
    TRY(host_sysfs(plan));
  else
    TRY(file_system(plan, mount));
  return plan;
}

// The options of the top mount win over those of the whole tree, and both go into one call where
// the tree is a single mount.
void Describer::bind_attributes(MountPlan& plan) const {
  MountAttributes top{options_.set, options_.clear, 0, -1};
  MountAttributes tree{options_.recursive_set, options_.recursive_clear, 0, -1};
  // Unless it says otherwise, what happens at the source later is none of the container's business.
  constexpr std::uint64_t kPrivate = MS_PRIVATE;
  const std::uint64_t propagation = options_.propagation == 0 ? kPrivate : options_.propagation;
  const bool whole = options_.propagation == 0 || options_.propagation_recursive;
  (whole ? tree : top).propagation = propagation;
  if (plan.recursion == Recursion::kThisMount) {
    tree.set = (tree.set & ~top.clear) | top.set;
    tree.clear = (tree.clear & ~top.set) | top.clear;
    tree.propagation = propagation;
    top = {};
  }
  plan.tree_attributes = tree;
  plan.attributes = top;
}

// A new file system is one mount: r* options and plain ones are the same.
Result<void> Describer::fresh_attributes(MountPlan& plan, const oci::Mount& mount) {
  options_.set |= options_.recursive_set & ~options_.clear;
  plan.attributes.set = options_.set;
  // A new mount on a private parent is private already.
  const bool asked =
      options_.propagation != 0 && (options_.propagation != MS_PRIVATE || any_shared_);
  if (asked) plan.attributes.propagation = options_.propagation;
  constexpr std::size_t kOnePage = 4096;  // what mount(2) takes; fsconfig(2) has no such limit
  const bool fresh =
      plan.becomes != Anchor::kRoot || plan.copy_up || asked || plan.data.size() >= kOnePage - 1;
  plan.method = fresh ? MountMethod::kFresh : MountMethod::kClassic;
  plan.flags = classic_flags(options_);
  if (!fresh) return {};
  struct SuperParameter {
    unsigned long flag;
    const char* name;
  };
  for (const auto [flag, name] : {SuperParameter{MS_SYNCHRONOUS, "sync"},
                                  {MS_DIRSYNC, "dirsync"},
                                  {MS_MANDLOCK, "mand"},
                                  {MS_LAZYTIME, "lazytime"}})
    if ((options_.super_flags & flag) != 0) plan.parameters.emplace_back(name, std::nullopt);
  if ((options_.super_flags & (MS_SILENT | MS_I_VERSION)) != 0)
    return refuse("/options", "silent and iversion have no meaning for this " + quoted(mount.type),
                  "take them out");
  // A device's file system must know that it is not to be written.
  if ((options_.set & MOUNT_ATTR_RDONLY) != 0 && plan.becomes == Anchor::kRoot && !plan.copy_up)
    plan.parameters.emplace_back("ro", std::nullopt);
  return {};
}

// Whoever could put something else on /proc would catch the writes of the label and of the
// sysctls (CVE-2019-16884, CVE-2025-52881).
Result<void> Describer::check_procfs(const MountPlan& plan, bool bind) const {
  const std::string& path = plan.place.absolute;
  const std::string& type = request_.spec.mounts[number_].type;
  if (path == "/proc" && !bind && type != "proc" && !options_.remount)
    return refuse("/type", "only a procfs may be mounted on /proc, not " + quoted(type),
                  "use {\"destination\": \"/proc\", \"type\": \"proc\"}");
  if (path == "/proc" || !is_at_or_beneath(path, "/proc")) return {};
  const auto known = std::find(kReplaceableProcFiles.begin(), kReplaceableProcFiles.end(), path);
  if (bind && known != kReplaceableProcFiles.end()) return {};
  return refuse("/destination", quoted(path) + " is inside /proc, which only the kernel may fill",
                "bind single files such as /proc/cpuinfo or /proc/meminfo; hide others with "
                "linux.maskedPaths");
}

Result<void> Describer::identity_maps(MountPlan& plan, const oci::Mount& mount) {
  const bool named = mount.uid_mappings || mount.gid_mappings;
  IdMapPlan maps;
  if (mount.uid_mappings) maps.uids = *mount.uid_mappings;
  if (mount.gid_mappings) maps.gids = *mount.gid_mappings;
  if (maps.uids.empty() != maps.gids.empty())
    return refuse("", "uidMappings and gidMappings go together: one of them is empty or missing",
                  "give both, or neither to use the container's own");
  if (maps.uids.empty() && !user_namespace_)
    return refuse("", "an idmapped mount needs mappings, or a container with a user namespace",
                  "set uidMappings and gidMappings of the mount, or linux.uidMappings");
  // Mappings without the option are idmapped as "idmap" would be.
  if (named && maps.uids.empty() && options_.idmap == IdMapScope::kNone) return {};
  plan.idmap = std::move(maps);
  if (options_.idmap == IdMapScope::kWholeTree) plan.idmap_recursion = Recursion::kWholeTree;
  return {};
}

Result<void> Describer::bind(MountPlan& plan, const oci::Mount& mount) {
  if (mount.source.empty())
    return refuse("/source", "a bind mount needs a source", "name a file or directory of the host");
  if (!options_.data.empty())
    return refuse(
        "/options", quoted(options_.data.front().first) + " is not an option of a bind mount",
        "take it out: a bind shows an existing file system and cannot change its options");
  if (options_.copy_up)
    return refuse("/options", "tmpcopyup is not an option of a bind mount", "use it with a tmpfs");
  if (options_.super_flags != 0)
    return refuse("/options",
                  "sync, dirsync, mand, lazytime and the like belong to the whole file "
                  "system and cannot be set on a bind mount",
                  "take them out");
  plan.method = MountMethod::kBind;
  plan.source = mount.source;
  if (plan.source.front() != '/') plan.source.insert(0, "/").insert(0, request_.bundle);
  const bool whole = options_.recursive_bind || (!options_.bind && mount.type == "bind");
  plan.recursion = whole ? Recursion::kWholeTree : Recursion::kThisMount;
  bind_attributes(plan);
  plan.source_must_be_procfs = plan.place.absolute == "/proc";
  // A volume that is to stay shared with the host must be copied before this namespace turns all
  // mounts into slaves.
  const bool stays_shared = options_.propagation == MS_SHARED && host_.privileged();
  if (const auto handed = request_.handed_mounts.find(mount.destination);
      handed != request_.handed_mounts.end())
    plan.handed = handed->second;
  if (parent_opens_ || plan.idmap || stays_shared || plan.handed >= 0) {
    plan.method = MountMethod::kFromParent;
    plan.parent_mount = next_parent_mount_++;
  }
  return {};
}

Result<void> Describer::host_sysfs(MountPlan& plan) {
  plan.method = MountMethod::kBind;
  plan.source = "/sys";
  plan.recursion = Recursion::kWholeTree;
  options_ = {};
  options_.recursive_set =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  bind_attributes(plan);
  plan.exact = true;
  return {};
}

Result<void> Describer::file_system(MountPlan& plan, const oci::Mount& mount) {
  if (mount.type.empty() || mount.type == "none")
    return refuse("/type",
                  mount.type.empty() ? "is missing" : "\"none\" says nothing without \"bind\"",
                  "name a file system, or add the option \"bind\"");
  if (options_.copy_up && mount.type != "tmpfs")
    return refuse("/options", "tmpcopyup is an option of tmpfs only", "take it out");
  if (plan.idmap)
    return refuse("", "only bind mounts can be idmapped here, not " + quoted(mount.type),
                  "mount the file system on the host and bind it");
  plan.type = mount.type;
  plan.source = mount.source.empty() ? mount.type : mount.source;
  plan.copy_up = options_.copy_up;
  plan.exact = mount.type == "proc" || mount.type == "sysfs";
  plan.parameters = options_.data;
  const std::string& label = request_.spec.linux_.mount_label;
  const bool labelled = mount.type != "proc" && mount.type != "sysfs" && mount.type != "mqueue";
  if (!label.empty() && labelled) {
    if (!host_.selinux)
      return fail(ErrorKind::kUnsupported, "/linux/mountLabel: SELinux is not enabled on this host",
                  "take the label out, or enable SELinux");
    TRY(check_selinux_label(label, "/linux/mountLabel"));
    plan.parameters.emplace_back("context", label);
  }
  options_.data = plan.parameters;
  plan.data = options_.joined_data();
  // Commas separate the options of mount(2): one inside a value needs quotes.
  if (!label.empty() && labelled) {
    const auto at = plan.data.rfind("context=");
    plan.data = plan.data.substr(0, at) + "context=\"" + label + "\"";
  }
  return fresh_attributes(plan, mount);
}

CgroupView Describer::view_of(const CgroupHierarchy& hierarchy) const {
  CgroupView view;
  view.mount_point = hierarchy.mount_point;
  if (hierarchy.mount_root != "/") view.mount_root = hierarchy.mount_root;
  if (hierarchy.v2) {
    view.name = "unified";
    return view;
  }
  view.name = hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/') + 1);
  if (!hierarchy.controllers.empty()) view.controller = hierarchy.controllers.front();
  for (const std::string& controller : hierarchy.controllers)
    if (controller != view.name && controller.find('=') == std::string::npos)
      view.links.push_back(controller);
  return view;
}

Result<void> Describer::cgroup(MountPlan& plan, const oci::Mount& mount) {
  if (!options_.data.empty())
    return refuse("/options",
                  quoted(options_.data.front().first) + " is not an option of a cgroup mount",
                  "take it out: the container's own groups are shown");
  if (options_.copy_up || plan.idmap)
    return refuse("/options", "a cgroup mount can be neither idmapped nor copied", "take it out");
  plan.method = MountMethod::kCgroup;
  plan.type = mount.type;
  const bool any_v1 = std::any_of(host_.cgroups.begin(), host_.cgroups.end(),
                                  [](const auto& hierarchy) { return !hierarchy.v2; });
  const bool unified_only = mount.type == "cgroup2" || !any_v1;
  for (const CgroupHierarchy& hierarchy : host_.cgroups) {
    if (unified_only && !hierarchy.v2) continue;
    plan.cgroups.push_back(view_of(hierarchy));
    if (unified_only) plan.cgroups.back().name.clear();
  }
  if (plan.cgroups.empty())
    return refuse("/type", "no cgroup hierarchy of this kind is mounted on the host",
                  "mount one, or take the cgroup mount out");
  plan.cgroup_directory = !unified_only;
  if (plan.cgroup_directory && !request_.spec.linux_.mount_label.empty())
    plan.parameters.emplace_back("context", request_.spec.linux_.mount_label);
  // Without a cgroup namespace a writable mount would let a rootless container change the groups of
  // its user's other processes (CVE-2022-25809).
  // With no group of the container's own, what is shown is the runtime's.
  const bool not_its_own = request_.cgroup_driver == CgroupDriver::kDisabled;
  if (not_its_own || (!cgroup_namespace_ && !host_.privileged())) {
    options_.set |= MOUNT_ATTR_RDONLY;
    options_.clear &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
  }
  // Of the directory and of all hierarchies in it, in one call.
  plan.recursion = Recursion::kThisMount;
  bind_attributes(plan);
  return {};
}

}  // namespace

Result<MountsPlan> describe_mounts(const Request& request, const HostFacts& host) {
  return Describer(request, host).all();
}

Result<ParentMountsPlan> describe_parent_mounts(const Request& request, const HostFacts& host) {
  ParentMountsPlan plan;
  if (request.joining) return plan;
  TRY_ASSIGN(RootfsPlan rootfs, Rootfs::describe(request, host));
  if (rootfs.parent_mount && !request.root_from_parent) plan.root = std::move(rootfs.path);
  TRY_ASSIGN(MountsPlan mounts, describe_mounts(request, host));
  for (MountPlan& mount : mounts.mounts)
    if (mount.method == MountMethod::kFromParent) plan.mounts.push_back(std::move(mount));
  return plan;
}

}  // namespace bulkhead::isolation
