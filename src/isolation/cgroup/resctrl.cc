#include "isolation/cgroup/resctrl.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr const char* kWhere = "/linux/intelRdt";
constexpr std::size_t kLargestFile = 1U << 20;

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty())
    if (const std::string_view line = trim(next_field(text, '\n')); !line.empty())
      lines.emplace_back(line);
  return lines;
}

// In the order of the specification: the cache's lines, the bandwidth's, then those of `schemata`.
std::vector<std::string> schemata_of(const oci::IntelRdt& rdt) {
  std::vector<std::string> lines;
  for (std::string& line : lines_of(rdt.l3_cache_schema))
    // A bandwidth that has a field of its own is not taken from the cache's.
    if (rdt.mem_bw_schema.empty() || !line.starts_with("MB:")) lines.push_back(std::move(line));
  for (std::string& line : lines_of(rdt.mem_bw_schema)) lines.push_back(std::move(line));
  for (const std::string& entry : rdt.schemata)
    for (std::string& line : lines_of(entry)) lines.push_back(std::move(line));
  return lines;
}

// "L3:0=ff;1=0f": the resource, and each domain with its share, in any order and spelling.
struct Line {
  std::string_view resource;
  std::vector<std::pair<std::string_view, std::string_view>> shares;
};

Line parse(std::string_view text) {
  Line line;
  line.resource = trim(next_field(text, ':'));
  while (!text.empty()) {
    std::string_view share = next_field(text, ';');
    const std::string_view domain = trim(next_field(share, '='));
    share = trim(share);
    // The kernel pads masks with zeroes.
    while (share.size() > 1 && share.front() == '0') share.remove_prefix(1);
    line.shares.emplace_back(domain, share);
  }
  return line;
}

// Whether what the kernel shows gives every share that `wanted` names.
bool gives(const std::vector<std::string>& shown, const std::string& wanted) {
  const Line asked = parse(wanted);
  return std::ranges::any_of(shown, [&](const std::string& text) {
    const Line line = parse(text);
    return line.resource == asked.resource &&
           std::ranges::all_of(asked.shares, [&](const auto& share) {
             return std::ranges::find(line.shares, share) != line.shares.end();
           });
  });
}

Result<void> check_schemata(const ResctrlPlan& plan, const char* otherwise) {
  const std::string path = plan.group + "/schemata";
  TRY_ASSIGN(const std::string text, read_file_at(AT_FDCWD, path.c_str(), kLargestFile));
  const std::vector<std::string> shown = lines_of(text);
  for (const std::string& line : plan.schemata)
    if (!gives(shown, line))
      return fail(ErrorKind::kInvalid,
                  std::string(kWhere) + ": " + plan.group + " " + otherwise + " " + quoted(line));
  return {};
}

// O_CREAT changes nothing on resctrl, where every group has its files from the beginning.
Result<void> write(const std::string& path, std::string_view text) {
  TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT, 0600));
  if (auto written = write_all(file.get(), text.data(), text.size()); !written)
    return std::unexpected(Error(written.error()).within(path));
  return {};
}

// The kernel's own words about the last refusal.
Error refused(const ResctrlPlan& plan, Error error) {
  const std::string root = plan.group.substr(0, plan.group.rfind('/'));
  const auto status =
      read_file_at(AT_FDCWD, (root + "/info/last_cmd_status").c_str(), kLargestFile);
  if (status && !trim(*status).empty())
    error = std::move(error).with_hint("the kernel says: " + quoted(trim(*status)));
  return std::move(error).within(kWhere);
}

Result<void> write_schemata(const ResctrlPlan& plan) {
  if (plan.schemata.empty()) return {};
  std::string text;
  for (const std::string& line : plan.schemata) text += line + "\n";
  if (auto written = write(plan.group + "/schemata", text); !written)
    return std::unexpected(refused(plan, std::move(written).error()));
  return check_schemata(plan, "was given, but does not show");
}

Result<void> add_task(const ResctrlPlan& plan, const std::string& group, HostPid process) {
  const std::string number = std::to_string(process.value());
  const std::string path = group + "/tasks";
  if (auto written = write(path, number); !written)
    return std::unexpected(refused(plan, std::move(written).error()));
  TRY_ASSIGN(const std::string tasks, read_file_at(AT_FDCWD, path.c_str(), kLargestFile));
  const std::vector<std::string> all = lines_of(tasks);
  if (std::ranges::find(all, number) == all.end())
    return fail(ErrorKind::kSystem,
                std::string(kWhere) + ": asked for, but " + path + " does not list the process");
  return {};
}

enum class Made { kNew, kThere };

Result<Made> make(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0755) == 0) return Made::kNew;
  if (errno == EEXIST) return Made::kThere;
  Error error(SysError{"mkdir", errno, directory.c_str()});
  if (errno == ENOSPC)
    error = std::move(error).with_hint(
        "the processor has no class of service left: remove groups that nobody uses");
  return std::unexpected(std::move(error).within(kWhere));
}

Result<void> join(const ResctrlPlan& plan, HostPid process) {
  if (plan.must_exist) {
    struct stat status{};
    if (::stat(plan.group.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
      return fail(ErrorKind::kInvalid,
                  std::string(kWhere) + "/closID: there is no class " + plan.group,
                  "make the group beforehand, or say what its shares are (schemata)");
  } else {
    TRY_ASSIGN(const Made made, make(plan.group));
    if (made == Made::kNew) {
      TRY(write_schemata(plan));
    } else if (plan.own) {
      return fail(ErrorKind::kExists,
                  std::string(kWhere) + ": the group " + plan.group +
                      " of the container's own is there already",
                  "remove it, or choose another id");
    } else {
      TRY(check_schemata(plan, "is there already, and does not have"));
    }
  }
  TRY(add_task(plan, plan.group, process));
  if (plan.monitoring.empty()) return {};
  TRY(make(plan.monitoring));
  return add_task(plan, plan.monitoring, process);
}

}  // namespace

std::optional<std::string> resctrl_mount(std::string_view mountinfo) {
  while (!mountinfo.empty()) {
    std::string_view line = next_field(mountinfo, '\n');
    const std::size_t dash = line.find(" - resctrl ");
    if (dash == std::string_view::npos) continue;
    for (int field = 0; field < 4; ++field) next_field(line, ' ');
    return std::string(next_field(line, ' '));
  }
  return std::nullopt;
}

Result<std::optional<ResctrlPlan>> describe_resctrl(const oci::Spec& spec,
                                                    std::string_view container_id,
                                                    const std::optional<std::string>& mount) {
  if (!spec.linux_.intel_rdt) return std::nullopt;
  const oci::IntelRdt& rdt = *spec.linux_.intel_rdt;
  if (!mount)
    return fail(
        ErrorKind::kUnsupported,
        std::string(kWhere) + ": no resctrl file system is mounted on this host",
        "mount -t resctrl resctrl /sys/fs/resctrl, on a processor with RDT or QoS; or leave "
        "the field out");
  ResctrlPlan plan;
  plan.schemata = schemata_of(rdt);
  plan.own = rdt.clos_id.empty();
  plan.must_exist = !plan.own && plan.schemata.empty();
  // "/" stands for the default class, which is the root of resctrl itself.
  plan.group = *mount;
  if (rdt.clos_id != "/") plan.group += "/" + (plan.own ? std::string(container_id) : rdt.clos_id);
  if (rdt.enable_monitoring)
    plan.monitoring = plan.group + "/mon_groups/" + std::string(container_id);
  return plan;
}

Result<void> join_resctrl(const ResctrlPlan& plan, HostPid process) {
  struct stat status{};
  const bool there = ::stat(plan.group.c_str(), &status) == 0;
  auto joined = join(plan, process);
  if (joined) return joined;
  if (!plan.monitoring.empty()) ::rmdir(plan.monitoring.c_str());
  if (!there) ::rmdir(plan.group.c_str());
  return joined;
}

std::vector<std::string> resctrl_record(const ResctrlPlan& plan) {
  std::vector<std::string> record;
  if (!plan.monitoring.empty()) record.push_back(plan.monitoring);
  if (plan.own) record.push_back(plan.group);
  return record;
}

Result<void> remove_resctrl(const std::vector<std::string>& record) {
  for (const std::string& directory : record) {
    if (!directory.starts_with('/') || directory.find("/../") != std::string::npos)
      return fail(ErrorKind::kInternal,
                  "the state's record of a resctrl group is damaged: " + quoted(directory));
    if (::rmdir(directory.c_str()) != 0 && errno != ENOENT)
      return std::unexpected(Error(SysError{"rmdir", errno, directory.c_str()}).within(kWhere));
  }
  return {};
}

}  // namespace bulkhead::isolation
