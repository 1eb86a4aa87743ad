#include "isolation/rootfs/rootfs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/text.h"
#include "sys/file.h"
#include "sys/mount_api.h"

namespace bulkhead::isolation {
namespace {

// Without the new mount API: bound onto itself, and opened again through what was mounted. The
// directory may be swapped between the calls, so what was opened must be what was bound.
SysResult<Fd> bind_onto_itself(const RootfsPlan& plan, const ChildContext& child) noexcept {
  const char* path = plan.path.c_str();
  auto source = open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  if (!source) return source;
  const auto bound = bind_classic(child.proc, source->get(), source->get(), Recursion::kWholeTree);
  if (!bound) return sys_fail_with(bound.error().error, bound.error().call, path);
  auto root = open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  if (!root) return root;
  if (!is_same_file(source->get(), root->get()))
    return sys_fail_with(EXDEV, "the root was swapped while it was mounted", path);
  return root;
}

}  // namespace

bool parent_opens_sources(const Request& request, const HostFacts& host) {
  if (!host.privileged() || request.joining) return false;
  for (const oci::Namespace& space : request.spec.linux_.namespaces)
    if (space.type == oci::NamespaceType::kUser) return true;
  return false;
}

Result<RootfsPlan> Rootfs::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  if (!request.spec.root || request.spec.root->path.empty()) {
    if (!request.root_from_parent)
      return fail(ErrorKind::kInvalid, "/root/path: a container needs a root file system",
                  "name the directory that holds it, for example \"rootfs\"");
  } else {
    plan.path = request.spec.root->path;
    if (plan.path.find('\0') != std::string::npos)
      return fail(ErrorKind::kInvalid, "/root/path: " + quoted(plan.path) + " holds a NUL byte");
    if (plan.path.front() != '/') plan.path.insert(0, "/").insert(0, request.bundle);
  }
  if (request.root_from_parent || parent_opens_sources(request, host)) plan.parent_mount = 0;
  return plan;
}

Explanation Rootfs::explain(const Plan& plan) {
  Explanation explanation;
  explanation.facts.push_back(
      {"root", plan.path.empty() ? "made by the engine" : quoted(plan.path),
       plan.parent_mount ? "opened with the host's privileges and handed over" : ""});
  return explanation;
}

SysResult<void> Rootfs::apply(const Plan& plan, ChildContext& child) noexcept {
  const char* subject = plan.path.c_str();
  Fd own;
  int tree = -1;
  if (plan.parent_mount) {
    const auto received = child.parent.wait_for_mount(child.parent.self, *plan.parent_mount);
    if (!received) return std::unexpected(received.error());
    tree = *received;
  } else {
    auto cloned = clone_tree(AT_FDCWD, subject, Recursion::kWholeTree);
    if (!cloned && is_refused_api(cloned.error().error)) {
      auto bound = bind_onto_itself(plan, child);
      if (!bound) return std::unexpected(bound.error());
      child.root = bound->release();
      return {};
    }
    if (!cloned) return std::unexpected(cloned.error());
    own = std::move(*cloned);
    tree = own.get();
  }
  // On top of "/", which no absolute path of this process leads into: nothing on the host's side
  // needs to be a mount point, and neither rename nor removal there can touch it.
  if (const auto attached = attach_mount(tree, AT_FDCWD, "/"); !attached)
    return sys_fail_with(attached.error().error, attached.error().call, subject);
  child.root = own ? own.release() : tree;
  if (!plan.parent_mount) return {};
  // Copied in the host's namespace, it may share its mounts with the host's: what is mounted
  // beneath it from here on would appear there.
  const MountAttributes slave{0, 0, MS_SLAVE, -1};
  const auto cut = set_attributes_anyhow(child.proc, child.root, Recursion::kWholeTree, slave);
  if (!cut) return sys_fail_with(cut.error().error, cut.error().call, subject);
  return {};
}

SysResult<void> Rootfs::verify(const Plan& plan, ChildContext& child) noexcept {
  const char* subject = plan.path.c_str();
  if (child.root < 0) return not_held("no root file system was mounted", subject);
  // A root of a mount, not just a directory somewhere in the host's tree.
  struct statx root{};
  if (::statx(child.root, "", AT_EMPTY_PATH, STATX_TYPE, &root) != 0)
    return sys_fail("statx", subject);
  if (!S_ISDIR(root.stx_mode)) return not_held("the root is not a directory", subject);
  if ((root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
      (root.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0)
    return not_held("the root is not a mount of its own", subject);
  return {};
}

}  // namespace bulkhead::isolation
