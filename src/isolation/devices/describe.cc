#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "isolation/devices/devices.h"

namespace bulkhead::isolation {
namespace {

struct DefaultNode {
  const char* path;
  std::uint32_t major;
  std::uint32_t minor;
};

// What the runtime specification promises to every container.
constexpr std::array kDefaultNodes = {
    DefaultNode{"/dev/null", 1, 3},    DefaultNode{"/dev/zero", 1, 5},
    DefaultNode{"/dev/full", 1, 7},    DefaultNode{"/dev/random", 1, 8},
    DefaultNode{"/dev/urandom", 1, 9}, DefaultNode{"/dev/tty", 5, 0},
};

struct DefaultLink {
  const char* path;
  const char* target;
};

constexpr std::array kDefaultLinks = {
    DefaultLink{"/dev/fd", "/proc/self/fd"},       DefaultLink{"/dev/stdin", "/proc/self/fd/0"},
    DefaultLink{"/dev/stdout", "/proc/self/fd/1"}, DefaultLink{"/dev/stderr", "/proc/self/fd/2"},
    DefaultLink{"/dev/ptmx", "pts/ptmx"},
};

std::uint32_t type_of(const std::string& type) {
  if (type == "c" || type == "u") return S_IFCHR;
  if (type == "b") return S_IFBLK;
  if (type == "p") return S_IFIFO;
  return 0;
}

Result<DeviceNodePlan> plan_device(const oci::Device& device, const MountLayout& layout,
                                   const std::string& where) {
  DeviceNodePlan node;
  if (device.path.empty() || device.path.front() != '/' ||
      device.path.find('\0') != std::string::npos)
    return fail(ErrorKind::kInvalid,
                where + "/path: " + quoted(device.path) + " is not an absolute path",
                "name the node as the container sees it, for example \"/dev/fuse\"");
  node.source = clean_path(device.path);
  if (node.source == "/")
    return fail(ErrorKind::kInvalid, where + "/path: the root cannot be a device");
  node.type = type_of(device.type);
  if (node.type == 0)
    return fail(ErrorKind::kInvalid, where + "/type: unknown device type " + quoted(device.type),
                "use \"c\", \"b\", \"u\" or \"p\"");
  const bool numbered = device.major && device.minor;
  if (node.type != S_IFIFO && !numbered)
    return fail(ErrorKind::kInvalid,
                where + ": " + quoted(device.path) + " has no major or minor number",
                "both are required, but for type \"p\"");
  constexpr std::int64_t kMostMajor = (1 << 12) - 1;
  constexpr std::int64_t kMostMinor = (1 << 20) - 1;
  if (node.type != S_IFIFO) {
    if (*device.major < 0 || *device.major > kMostMajor || *device.minor < 0 ||
        *device.minor > kMostMinor)
      return fail(ErrorKind::kInvalid, where + ": the device number " +
                                           std::to_string(*device.major) + ":" +
                                           std::to_string(*device.minor) + " is out of range");
    node.major = static_cast<std::uint32_t>(*device.major);
    node.minor = static_cast<std::uint32_t>(*device.minor);
  }
  if (device.file_mode) {
    // Some writers add the type bits, which the type says already.
    const std::uint32_t type_bits = *device.file_mode & static_cast<std::uint32_t>(S_IFMT);
    if ((*device.file_mode & ~07777U & ~static_cast<std::uint32_t>(S_IFMT)) != 0 ||
        (type_bits != 0 && type_bits != node.type))
      return fail(ErrorKind::kInvalid, where + "/fileMode: not the permission bits of a file");
    node.mode = *device.file_mode & 07777U;
  }
  if (device.uid) node.uid = device.uid->value();
  if (device.gid) node.gid = device.gid->value();
  node.place = layout.place_of(node.source);
  return node;
}

bool has_new_user_namespace(const oci::Spec& spec) {
  return std::any_of(spec.linux_.namespaces.begin(), spec.linux_.namespaces.end(),
                     [](const auto& space) { return space.type == oci::NamespaceType::kUser; });
}

DeviceMethod method_for(const Request& request, const HostFacts& host, const MountLayout& layout) {
  const std::size_t dev = layout.mount_at("/dev");
  if (dev != MountLayout::kAll && layout.is_bind(dev)) return DeviceMethod::kOnlyCheck;
  if (has_new_user_namespace(request.spec) || !host.in_initial_user_namespace)
    return DeviceMethod::kBind;
  return DeviceMethod::kMake;
}

}  // namespace

Result<DevicesPlan> Devices::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  if (request.joining) return plan;
  const MountLayout layout(request.spec);
  plan.method = method_for(request, host, layout);
  const auto& asked = request.spec.linux_.devices;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    TRY_ASSIGN(DeviceNodePlan node,
               plan_device(asked[i], layout, "/linux/devices/" + std::to_string(i)));
    plan.nodes.push_back(std::move(node));
  }
  if (plan.method == DeviceMethod::kOnlyCheck) return plan;
  const auto taken = [&](std::string_view path) {
    return layout.mount_at(path) != MountLayout::kAll ||
           std::any_of(plan.nodes.begin(), plan.nodes.end(),
                       [&](const DeviceNodePlan& node) { return node.source == path; });
  };
  for (const DefaultNode& node : kDefaultNodes) {
    if (taken(node.path)) continue;
    plan.nodes.push_back({.place = layout.place_of(node.path),
                          .source = node.path,
                          .type = S_IFCHR,
                          .major = node.major,
                          .minor = node.minor});
  }
  for (const DefaultLink& link : kDefaultLinks)
    if (!taken(link.path)) plan.links.push_back({layout.place_of(link.path), link.target});
  return plan;
}

Explanation Devices::explain(const Plan& plan) {
  Explanation explanation;
  if (plan.method == DeviceMethod::kOnlyCheck) {
    explanation.standing = plan.nodes.empty() ? Standing::kOpened : Standing::kApplied;
    explanation.reason = "/dev is bound from elsewhere: its devices are what they are there";
  }
  if (plan.nodes.empty() && plan.method != DeviceMethod::kOnlyCheck) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "the container has its devices already";
  }
  const char* why = plan.method == DeviceMethod::kBind ? "bound from the host: mknod is not allowed"
                    : plan.method == DeviceMethod::kMake ? ""
                                                         : "checked only";
  for (const DeviceNodePlan& node : plan.nodes) {
    const char* kind = node.type == S_IFBLK ? "block " : node.type == S_IFIFO ? "fifo" : "";
    const std::string number =
        node.type == S_IFIFO ? "" : std::to_string(node.major) + ":" + std::to_string(node.minor);
    explanation.facts.push_back({node.source, kind + number, why});
  }
  return explanation;
}

}  // namespace bulkhead::isolation
