#include "isolation/user/user.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

// "0 1879048192 65536, …"
std::string in_words(std::span<const oci::IdMapping> map) {
  constexpr std::size_t kShown = 4;
  std::string words;
  for (std::size_t i = 0; i < map.size() && i < kShown; ++i) {
    const auto last = [](std::uint32_t first, std::uint32_t size) {
      return std::to_string(std::uint64_t{first} + size - 1);
    };
    const oci::IdMapping& extent = map[i];
    words.append(i == 0 ? "" : ", ")
        .append(std::to_string(extent.container_id) + "-" + last(extent.container_id, extent.size))
        .append(" are " + std::to_string(extent.host_id) + "-" + last(extent.host_id, extent.size))
        .append(" on the host");
  }
  if (map.size() > kShown) words.append(", and " + std::to_string(map.size() - kShown) + " more");
  return words;
}

std::string_view in_words(MapWriter writer) {
  switch (writer) {
    case MapWriter::kParent: return "";
    case MapWriter::kHelper: return "written by newuidmap or newgidmap";
    case MapWriter::kOwnId: return "the user's own id; setgroups is denied";
  }
  return "";
}

Result<void> check_wish(const NamespacePlan& plan, const oci::Linux& wish) {
  const bool mapped = !wish.uid_mappings.empty() || !wish.gid_mappings.empty();
  if (!plan.own() && mapped)
    return fail(ErrorKind::kInvalid,
                "/linux/uidMappings and /linux/gidMappings need a user namespace",
                "add {\"type\": \"user\"} to /linux/namespaces, or leave the mappings out");
  if (plan.is_new() && (wish.uid_mappings.empty() || wish.gid_mappings.empty()))
    return fail(
        ErrorKind::kInvalid,
        std::string(wish.uid_mappings.empty() ? "/linux/uidMappings" : "/linux/gidMappings") +
            ": a new user namespace needs mappings",
        "map at least id 0");
  TRY(check_map(wish.uid_mappings, "/linux/uidMappings"));
  return check_map(wish.gid_mappings, "/linux/gidMappings");
}

SysResult<void> take_ids(const UserNamespace::Plan& plan) noexcept {
  // Raw calls: the C library's would signal the other threads, of which there are none.
  if (::syscall(SYS_setresgid, plan.setup_gid, plan.setup_gid, plan.setup_gid) != 0)
    return sys_fail("setresgid (to the user namespace's root)");
  if (::syscall(SYS_setresuid, plan.setup_uid, plan.setup_uid, plan.setup_uid) != 0)
    return sys_fail("setresuid (to the user namespace's root)");
  return {};
}

std::optional<std::uint32_t> next_number(std::string_view& line) noexcept {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return parse_number<std::uint32_t>(next_field(line, ' '));
}

// The kernel sorts long maps, so that the order does not count.
SysResult<void> verify_map(int proc, const char* file,
                           std::span<const oci::IdMapping> wanted) noexcept {
  if (wanted.empty()) return {};
  std::array<char, (kMostMapExtents + 2) * 33> buffer;
  TRY_ASSIGN(std::string_view text, read_small_file_at(proc, file, buffer));
  std::size_t count = 0;
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    const auto container = next_number(line);
    const auto host = next_number(line);
    const auto size = next_number(line);
    if (!container || !host || !size) return sys_fail_with(EBADMSG, "read", file);
    const oci::IdMapping extent{*container, *host, *size};
    bool found = false;
    for (const oci::IdMapping& candidate : wanted) found = found || candidate == extent;
    if (!found) return not_held("a range is mapped that nobody asked for", file);
    ++count;
  }
  if (count != wanted.size()) return not_held("a range is not mapped", file);
  return {};
}

}  // namespace

Result<UserNamespace::Plan> UserNamespace::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  TRY_ASSIGN(static_cast<NamespacePlan&>(plan),
             plan_namespace(oci::NamespaceType::kUser, request, host));
  const oci::Linux& wish = request.spec.linux_;
  TRY(check_wish(plan, wish));
  plan.uid_map = wish.uid_mappings;
  plan.gid_map = wish.gid_mappings;
  plan.uid_writer = writer_of(plan.uid_map, host.euid, host);
  plan.gid_writer = writer_of(plan.gid_map, host.egid, host);
  if (request.spec.process) {
    const oci::User& user = request.spec.process->user;
    if (!plan.uid_map.empty() && !maps(plan.uid_map, 0)) plan.setup_uid = user.uid.value();
    if (!plan.gid_map.empty() && !maps(plan.gid_map, 0)) plan.setup_gid = user.gid.value();
  }
  return plan;
}

Explanation UserNamespace::explain(const Plan& plan) {
  Explanation explanation = explain_namespace(
      plan, "root in the container is root on the host, held by its capabilities");
  if (!plan.uid_map.empty())
    explanation.facts.push_back(
        {"uids", in_words(plan.uid_map), std::string(in_words(plan.uid_writer))});
  if (!plan.gid_map.empty())
    explanation.facts.push_back(
        {"gids", in_words(plan.gid_map), std::string(in_words(plan.gid_writer))});
  return explanation;
}

SysResult<void> UserNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.own()) return {};
  if (plan.waits_for_parent()) TRY(child.parent.wait_for_id_maps(child.parent.self));
  // launch/ has cloned this process into a new one: an unshare here would be one too deep.
  if (!plan.is_new()) TRY(enter_namespace(plan, child));
  return take_ids(plan);
}

SysResult<void> UserNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.own()) return {};
  TRY(verify_namespace(plan, child));
  if (plan.wish == NamespaceWish::kInside) return {};
  TRY(verify_map(child.proc, "self/uid_map", plan.uid_map));
  return verify_map(child.proc, "self/gid_map", plan.gid_map);
}

}  // namespace bulkhead::isolation
