#include "isolation/cgroup/settings.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr std::string_view kResources = "/linux/resources/";

std::string field(std::string_view name) { return std::string(kResources).append(name); }

// A page size as the kernel names its files: "2MB", "1GB", "64KB".
bool is_page_size(std::string_view size) {
  const auto digits = size.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos) return false;
  const std::string_view unit = size.substr(digits);
  return unit == "KB" || unit == "MB" || unit == "GB";
}

// What would break out of one line of a control file.
bool is_one_word(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
  });
}

// Membership and life of the group: the runtime's own business, not limits.
bool is_not_a_limit(std::string_view key) {
  return key == "cgroup.procs" || key == "cgroup.threads" || key == "cgroup.kill" ||
         key == "cgroup.freeze" || key == "cgroup.type";
}

std::string_view controller_of(std::string_view key) { return key.substr(0, key.find('.')); }

}  // namespace

std::optional<CgroupVersion> ControllerHomes::home_of(std::string_view controller) const {
  for (const auto& [name, version] : all)
    if (name == controller) return version;
  return std::nullopt;
}

Result<Settings> pids_settings(std::int64_t limit, Moment moment) {
  Settings settings;
  // Engines write 0 as well as -1 for "unlimited".
  if (limit > 0 || moment == Moment::kUpdate)
    settings.push_back(
        {"pids.max", limit > 0 ? std::to_string(limit) : "max", field("pids/limit")});
  return settings;
}

Result<Settings> hugetlb_settings(const std::vector<oci::HugepageLimit>& limits,
                                  CgroupVersion version) {
  Settings settings;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const std::string where = field("hugepageLimits/") + std::to_string(i);
    if (!is_page_size(limits[i].page_size))
      return fail(ErrorKind::kInvalid, where + "/pageSize: " + quoted(limits[i].page_size) +
                                           " is not a page size like 2MB or 1GB");
    const std::string value = std::to_string(limits[i].limit);
    const std::string prefix = "hugetlb." + limits[i].page_size;
    const char* file = version == CgroupVersion::kV1 ? "limit_in_bytes" : "max";
    // Page faults, and (5.7+) reservations, which are refused by mmap instead of killing by SIGBUS.
    settings.push_back({prefix + "." + file, value, where});
    settings.push_back({prefix + ".rsvd." + file, value, where, CgroupSetting::IfMissing::kSkip});
  }
  return settings;
}

Result<Settings> rdma_settings(const std::map<std::string, oci::RdmaLimit>& limits) {
  Settings settings;
  for (const auto& [device, limit] : limits) {
    const std::string where = field("rdma/") + device;
    if (!is_one_word(device))
      return fail(ErrorKind::kInvalid,
                  field("rdma: ") + quoted(device) + " is not the name of a device");
    std::string value = device;
    if (limit.hca_handles) value += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) value += " hca_object=" + std::to_string(*limit.hca_objects);
    if (!limit.hca_handles && !limit.hca_objects)
      return fail(ErrorKind::kInvalid, where + ": neither hcaHandles nor hcaObjects");
    settings.push_back({"rdma.max", value, where});
  }
  return settings;
}

Settings class_id_settings(std::uint32_t class_id) {
  return {{"net_cls.classid", std::to_string(class_id), field("network/classID")}};
}

Result<Settings> priority_settings(const std::vector<oci::InterfacePriority>& priorities) {
  Settings settings;
  for (std::size_t i = 0; i < priorities.size(); ++i) {
    const std::string where = field("network/priorities/") + std::to_string(i);
    if (!is_one_word(priorities[i].name))
      return fail(ErrorKind::kInvalid, where + "/name: " + quoted(priorities[i].name) +
                                           " is not the name of an interface");
    settings.push_back({"net_prio.ifpriomap",
                        priorities[i].name + " " + std::to_string(priorities[i].priority), where});
  }
  return settings;
}

Result<CgroupSetting> unified_setting(const std::string& key, const std::string& value) {
  const std::string where = field("unified/") + key;
  if (!is_one_word(key) || key.find('/') != std::string::npos ||
      key.find('.') == std::string::npos || key.front() == '.')
    return fail(ErrorKind::kInvalid,
                field("unified: ") + quoted(key) + " is not the name of a file of a group");
  if (is_not_a_limit(key))
    return fail(ErrorKind::kInvalid, where + ": not a limit; the runtime alone writes this file");
  if (value.empty()) return fail(ErrorKind::kInvalid, where + ": the value is empty");
  return CgroupSetting{key, value, where};
}

namespace {

// Puts the settings of one limit where its controller is.
class Distributor {
 public:
  Distributor(const ControllerHomes& homes, Moment moment, std::vector<Fact>* left_out)
      : homes_(homes), moment_(moment), left_out_(left_out) {}

  // `make` gives the settings for a version of the hierarchy. Nothing to set: no home is needed.
  template <class Make>
  Result<void> add(std::string_view controller, Make&& make) {
    const auto home = homes_.home_of(controller);
    // Without a home the settings tell whether anything was asked for at all.
    TRY_ASSIGN(Settings settings, make(home.value_or(CgroupVersion::kV1), moment_));
    if (settings.empty()) return {};
    if (home) {
      result_.push_back({std::string(controller), *home, std::move(settings)});
      return {};
    }
    return missing(controller, settings.front().why, {});
  }

  Result<void> add_unified(const std::map<std::string, std::string>& unified) {
    for (const auto& [key, value] : unified) {
      TRY_ASSIGN(CgroupSetting setting, unified_setting(key, value));
      const std::string_view controller = controller_of(key);
      const auto home = homes_.home_of(controller);
      if (home != CgroupVersion::kV2) {
        TRY(missing(
            controller, setting.why,
            home ? "this host has it in cgroup v1: use the other fields of linux.resources" : ""));
        continue;
      }
      result_.push_back({std::string(controller), CgroupVersion::kV2, {std::move(setting)}});
    }
    return {};
  }

  std::vector<ControllerSettings> take() && { return std::move(result_); }

 private:
  Result<void> missing(std::string_view controller, const std::string& why, std::string hint) {
    const std::string reason = "no mounted cgroup hierarchy of this host offers the " +
                               std::string(controller) + " controller" +
                               (hint.empty() ? "" : " as cgroup v2");
    if (left_out_ == nullptr)
      return fail(ErrorKind::kUnsupported, why + ": " + reason,
                  hint.empty() ? "enable and mount the controller, or leave the limit out"
                               : std::move(hint));
    left_out_->push_back({std::string(controller), why, reason});
    return {};
  }

  const ControllerHomes& homes_;
  Moment moment_;
  std::vector<Fact>* left_out_;
  std::vector<ControllerSettings> result_;
};

Result<void> add_network(const oci::NetworkClass& network, Distributor& out) {
  // cgroup v2 has neither controller: packets are matched by group (nftables, eBPF) there.
  if (network.class_id && *network.class_id != 0)
    TRY(out.add("net_cls", [&](CgroupVersion, Moment) -> Result<Settings> {
      return class_id_settings(*network.class_id);
    }));
  return out.add("net_prio",
                 [&](CgroupVersion, Moment) { return priority_settings(network.priorities); });
}

}  // namespace

Result<std::vector<ControllerSettings>> resource_settings(const oci::Resources& resources,
                                                          const ControllerHomes& homes,
                                                          Moment moment,
                                                          std::vector<Fact>* left_out) {
  Distributor out(homes, moment, left_out);
  if (resources.memory)
    TRY(out.add("memory", [&](CgroupVersion version, Moment when) {
      return memory_settings(*resources.memory, version, when);
    }));
  if (resources.cpu) {
    TRY(out.add("cpu", [&](CgroupVersion version, Moment when) {
      return cpu_settings(*resources.cpu, version, when);
    }));
    TRY(out.add("cpuset", [&](CgroupVersion, Moment) { return cpuset_settings(*resources.cpu); }));
  }
  if (resources.pids_limit)
    TRY(out.add("pids", [&](CgroupVersion, Moment when) {
      return pids_settings(*resources.pids_limit, when);
    }));
  if (resources.block_io) {
    const bool v1 = homes.home_of("blkio").has_value();
    TRY(out.add(v1 ? "blkio" : "io", [&](CgroupVersion version, Moment) {
      return block_io_settings(*resources.block_io, version);
    }));
  }
  TRY(out.add("hugetlb", [&](CgroupVersion version, Moment) {
    return hugetlb_settings(resources.hugepage_limits, version);
  }));
  TRY(out.add("rdma", [&](CgroupVersion, Moment) { return rdma_settings(resources.rdma); }));
  if (resources.network) TRY(add_network(*resources.network, out));
  TRY(out.add_unified(resources.unified));
  return std::move(out).take();
}

}  // namespace bulkhead::isolation::cgroup
