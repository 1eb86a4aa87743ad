#include "isolation/mount_namespace/mount_namespace.h"

#include <sys/mount.h>

#include "base/text.h"

namespace bulkhead::isolation {
namespace {

Result<std::uint64_t> inherited_propagation(const std::string& wish) {
  if (wish.empty() || wish == "slave" || wish == "rslave" || wish == "shared" || wish == "rshared")
    return MS_SLAVE;
  if (wish == "private" || wish == "rprivate" || wish == "unbindable" || wish == "runbindable")
    return MS_PRIVATE;
  return fail(ErrorKind::kInvalid, "/linux/rootfsPropagation: unknown mode " + quoted(wish),
              "use private, slave, shared or unbindable, or one of them with an r in front");
}

}  // namespace

Result<MountNamespacePlan> MountNamespace::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  TRY_ASSIGN(plan.space, plan_namespace(oci::NamespaceType::kMount, request, host));
  if (!plan.space.own())
    return fail(
        ErrorKind::kInvalid, "/linux/namespaces: there is no mount namespace in the list",
        "add {\"type\": \"mount\"}: without one the container's mounts would be the host's");
  TRY_ASSIGN(plan.propagation, inherited_propagation(request.spec.linux_.rootfs_propagation));
  return plan;
}

Explanation MountNamespace::explain(const Plan& plan) {
  Explanation explanation = explain_namespace(plan.space, "the host's mounts");
  if (plan.space.wish == NamespaceWish::kInside) return explanation;
  if (plan.propagation == MS_SLAVE)
    explanation.facts.push_back(
        {"host mounts", "rslave", "what the host unmounts goes away here too; nothing goes back"});
  else
    explanation.facts.push_back({"host mounts", "rprivate", "nothing passes in either direction"});
  return explanation;
}

SysResult<void> MountNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  if (plan.space.wish == NamespaceWish::kInside) return {};
  TRY(enter_namespace(plan.space, child));
  if (plan.space.wish == NamespaceWish::kPath) {
    const auto own = own_namespace_number(child, oci::NamespaceType::kMount);
    if (!own) return std::unexpected(own.error());
    // To build a root there would take the runtime's own mounts away from it.
    if (*own == plan.space.host)
      return sys_fail_with(EINVAL, "join the runtime's own mount namespace",
                           plan.space.path.c_str());
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | plan.propagation, nullptr) != 0)
    return sys_fail("mount(propagation)", "/");
  return {};
}

SysResult<void> MountNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  return verify_namespace(plan.space, child);
}

}  // namespace bulkhead::isolation
