#include "engine/container_user.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::engine {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::unexpected<Error> refuse(std::string_view where, std::string_view value, std::string_view why,
                              std::string hint = {}) {
  return fail(ErrorKind::kInvalid,
              std::string(where) + " " + quoted(value, 80) + ": " + std::string(why),
              std::move(hint));
}

Result<std::uint32_t> container_id(std::string_view where, std::string_view text) {
  const auto id = parse_number<std::uint32_t>(text);
  if (!id || *id >= kContainerIds)
    return refuse(where, text, "there is no such id in a container",
                  "a container has the ids 0 to " + std::to_string(kContainerIds - 1));
  return *id;
}

struct PasswdEntry {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// The first entry that `matches(name, uid text)`; lines that are no entries are skipped.
template <class Matches>
Result<std::optional<PasswdEntry>> find_passwd(std::string_view where, std::string_view text,
                                               Matches matches) {
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    const std::string_view name = next_field(line, ':');
    next_field(line, ':');
    const std::string_view uid = next_field(line, ':');
    const std::string_view gid = next_field(line, ':');
    if (name.empty() || name.front() == '#' || !is_digits(uid) || !is_digits(gid) ||
        !matches(name, uid))
      continue;
    PasswdEntry entry{std::string(name), 0, 0};
    TRY_ASSIGN(entry.uid, container_id(where, uid));
    TRY_ASSIGN(entry.gid, container_id(where, gid));
    return entry;
  }
  return std::nullopt;
}

// visit(group name, gid text, members) for each line of a group file.
template <class Visit>
Result<void> for_each_group(std::string_view text, Visit visit) {
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    const std::string_view name = next_field(line, ':');
    next_field(line, ':');
    const std::string_view gid = next_field(line, ':');
    if (name.empty() || name.front() == '#' || !is_digits(gid)) continue;
    TRY(visit(name, gid, trim(line)));
  }
  return {};
}

Result<std::uint32_t> group_id(std::string_view where, std::string_view wanted,
                               const ReadUserFile& read) {
  if (is_digits(wanted)) return container_id(where, wanted);
  TRY_ASSIGN(const auto text, read("group"));
  std::optional<std::uint32_t> found;
  TRY(for_each_group(
      text.value_or(""),
      [&](std::string_view name, std::string_view gid, std::string_view) -> Result<void> {
        if (found || name != wanted) return {};
        TRY_ASSIGN(found, container_id(where, gid));
        return {};
      }));
  if (!found)
    return refuse(where, wanted, "the image's /etc/group has no such group",
                  "give the group by number");
  return *found;
}

Result<std::vector<ContainerGid>> further_groups(std::string_view where, const PasswdEntry& entry,
                                                 const ReadUserFile& read) {
  TRY_ASSIGN(const auto text, read("group"));
  std::vector<ContainerGid> groups;
  TRY(for_each_group(
      text.value_or(""),
      [&](std::string_view, std::string_view gid, std::string_view members) -> Result<void> {
        const auto names = split(members, ',');
        if (std::ranges::find(names, entry.name) == names.end()) return {};
        TRY_ASSIGN(const std::uint32_t id, container_id(where, gid));
        if (id != entry.gid && std::ranges::find(groups, ContainerGid(id)) == groups.end())
          groups.emplace_back(id);
        return {};
      }));
  return groups;
}

}  // namespace

Result<oci::User> resolve_user(std::string_view text, std::string_view where,
                               const ReadUserFile& read) {
  oci::User user;
  if (text.empty()) return user;
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const bool has_group = colon != std::string_view::npos;
  const std::string_view group = has_group ? text.substr(colon + 1) : std::string_view();
  if (name.empty() || (has_group && group.empty()))
    return refuse(where, text, "USER or USER:GROUP is expected");

  std::optional<PasswdEntry> entry;
  const bool numeric = is_digits(name);
  if (numeric) {
    TRY_ASSIGN(const std::uint32_t uid, container_id(where, name));
    user.uid = ContainerUid(uid);
  }
  if (!numeric || !has_group) {
    auto passwd = read("passwd");
    // A number needs no name: without a readable file it simply has no group but 0.
    if (!passwd && !numeric) return std::unexpected(std::move(passwd).error());
    const std::string content = passwd ? passwd->value_or("") : "";
    TRY_ASSIGN(entry,
               find_passwd(where, content, [&](std::string_view entry_name, std::string_view uid) {
                 return numeric ? parse_number<std::uint32_t>(uid) == user.uid.value()
                                : entry_name == name;
               }));
    if (!entry && !numeric)
      return refuse(where, name, "the image's /etc/passwd has no such user",
                    "give the user by number");
  }
  if (entry && !numeric) user.uid = ContainerUid(entry->uid);
  if (has_group) {
    TRY_ASSIGN(const std::uint32_t gid, group_id(where, group, read));
    user.gid = ContainerGid(gid);
  } else if (entry) {
    user.gid = ContainerGid(entry->gid);
    auto groups = further_groups(where, *entry, read);
    if (!groups && !numeric) return std::unexpected(std::move(groups).error());
    if (groups) user.additional_gids = *std::move(groups);
  }
  return user;
}

Result<ContainerGid> resolve_group(std::string_view text, std::string_view where,
                                   const ReadUserFile& read) {
  TRY_ASSIGN(const std::uint32_t gid, group_id(where, text, read));
  return ContainerGid(gid);
}

}  // namespace bulkhead::engine
