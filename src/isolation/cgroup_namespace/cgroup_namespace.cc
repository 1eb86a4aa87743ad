#include "isolation/cgroup_namespace/cgroup_namespace.h"

#include <string_view>

#include "sys/file.h"

namespace bulkhead::isolation {

Result<CgroupNamespace::Plan> CgroupNamespace::describe(const Request& request,
                                                        const HostFacts& host) {
  return plan_namespace(oci::NamespaceType::kCgroup, request, host);
}

Explanation CgroupNamespace::explain(const Plan& plan) {
  return explain_namespace(plan, "the container sees the names of the host's control groups");
}

SysResult<void> CgroupNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  return enter_namespace(plan, child);
}

SysResult<void> CgroupNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  TRY(verify_namespace(plan, child));
  if (plan.wish != NamespaceWish::kNew) return {};
  char buffer[8 * 1024];
  const auto text = read_small_file_at(child.proc, "self/cgroup", buffer);
  if (!text) return std::unexpected(text.error());
  // "4:memory:/"
  for (std::string_view rest = *text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    if (!rest.substr(0, end).ends_with(":/"))
      return not_held("the cgroup namespace's root is not the container's group", "self/cgroup");
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return {};
}

}  // namespace bulkhead::isolation
