#include "engine/cdi.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/text.h"
#include "json/parse.h"
#include "oci/fields.h"
#include "oci/object_reader.h"
#include "sys/file.h"

namespace bulkhead::engine {

// Found by the reader through the namespace of their argument.
void fields(auto& visit, oci::Any<CdiNode> auto& node) {
  visit.required("path", node.path);
  visit.optional("hostPath", node.host_path);
  visit.optional("type", node.type);
  visit.optional("major", node.major);
  visit.optional("minor", node.minor);
  visit.optional("fileMode", node.file_mode);
  visit.optional("permissions", node.permissions);
  visit.optional("uid", node.uid);
  visit.optional("gid", node.gid);
}

void fields(auto& visit, oci::Any<CdiMount> auto& mount) {
  visit.required("hostPath", mount.host_path);
  visit.required("containerPath", mount.container_path);
  visit.optional("type", mount.type);
  visit.optional("options", mount.options);
}

void fields(auto& visit, oci::Any<CdiHook> auto& hook) {
  visit.required("hookName", hook.hook_name);
  visit.required("path", hook.path);
  visit.optional("args", hook.args);
  visit.optional("env", hook.env);
  visit.optional("timeout", hook.timeout);
}

void fields(auto& visit, oci::Any<CdiEdits> auto& edits) {
  visit.optional("env", edits.env);
  visit.optional("deviceNodes", edits.device_nodes);
  visit.optional("mounts", edits.mounts);
  visit.optional("hooks", edits.hooks);
  visit.optional("additionalGids", edits.additional_gids);
}

namespace {

using Annotations = std::map<std::string, std::string>;

struct DeviceEntry {
  std::string name;
  Annotations annotations;  // for people
  CdiEdits edits;
};

struct FileEntry {
  std::string version;
  std::string kind;
  Annotations annotations;
  std::vector<DeviceEntry> devices;
  CdiEdits edits;
};

void fields(auto& visit, oci::Any<DeviceEntry> auto& device) {
  visit.required("name", device.name);
  visit.optional("annotations", device.annotations);
  visit.required("containerEdits", device.edits);
}

void fields(auto& visit, oci::Any<FileEntry> auto& spec) {
  visit.required("cdiVersion", spec.version);
  visit.required("kind", spec.kind);
  visit.optional("annotations", spec.annotations);
  visit.required("devices", spec.devices);
  visit.optional("containerEdits", spec.edits);
}

constexpr std::size_t kMostBytes = 4 << 20;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Letters, digits and `further`; begins with a letter (or a digit), ends with either.
bool is_part(std::string_view text, std::string_view further, bool begins_with_digit) {
  if (text.empty() || text.size() > 128) return false;
  if (!is_letter(text.front()) && !(begins_with_digit && is_digit(text.front()))) return false;
  if (!is_letter(text.back()) && !is_digit(text.back())) return false;
  return std::ranges::all_of(text, [&](char c) {
    return is_letter(c) || is_digit(c) || further.find(c) != std::string_view::npos;
  });
}

bool is_kind(std::string_view text) {
  std::string_view device_class = text;
  const std::string_view vendor = next_field(device_class, '/');
  return is_part(vendor, "_-.", false) && is_part(device_class, "_-.", false);
}

Result<void> check_edits(const CdiEdits& edits) {
  const auto absolute = [](const std::string& path) { return path.starts_with('/'); };
  const auto wrong = [](std::string what) { return fail(ErrorKind::kInvalid, std::move(what)); };
  for (const CdiNode& node : edits.device_nodes) {
    if (!absolute(node.path) || !(node.host_path.empty() || absolute(node.host_path)))
      return wrong("the path of the device node " + quoted(node.path) + " is not absolute");
    if (node.permissions.find_first_not_of("rwm") != std::string::npos)
      return wrong("the permissions " + quoted(node.permissions) + " are not made of r, w and m");
  }
  for (const CdiMount& mount : edits.mounts)
    if (!absolute(mount.host_path) || !absolute(mount.container_path))
      return wrong("the mount of " + quoted(mount.host_path) + " is not of absolute paths");
  constexpr std::string_view kHooks[] = {"prestart",       "createRuntime", "createContainer",
                                         "startContainer", "poststart",     "poststop"};
  for (const CdiHook& hook : edits.hooks) {
    if (std::ranges::find(kHooks, hook.hook_name) == std::end(kHooks))
      return wrong("there is no hook " + quoted(hook.hook_name));
    if (!absolute(hook.path)) return wrong("the hook " + quoted(hook.path) + " is not absolute");
  }
  for (const std::string& entry : edits.env)
    if (entry.find('=') == std::string::npos || entry.front() == '=')
      return wrong("the variable " + quoted(entry) + " is not NAME=VALUE");
  return {};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Names of the files with the ending, sorted; none of a directory that is not there.
std::vector<std::string> files_in(const char* directory, std::string_view ending) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, CloseDirectory> stream(::opendir(directory));
  if (!stream) return names;
  while (const struct dirent* entry = ::readdir(stream.get())) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name.ends_with(ending) && !name.starts_with('.')) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

Result<CdiSpec> read_spec(const std::string& path) {
  TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  if (!S_ISREG(status.st_mode) || status.st_uid != 0 || (status.st_mode & 022) != 0)
    return fail(ErrorKind::kPermission, quoted(path) + ": not a file that only root can write",
                "its hooks run on the host: chown root, chmod go-w");
  TRY_ASSIGN(const std::string text, read_fd(file.get(), kMostBytes));
  auto spec = parse_cdi_spec(text);
  if (!spec) return std::unexpected(std::move(spec).error().within(quoted(path)));
  return spec;
}

// One device, and what its file says for all of them.
struct Found {
  const CdiSpec* spec = nullptr;
  const CdiDevice* device = nullptr;
  std::size_t directory = 0;
  std::string path;
};

class Registry {
 public:
  explicit Registry(std::span<const char* const> directories) : directories_(directories) {}

  Result<void> read() {
    for (std::size_t i = 0; i < directories_.size(); ++i) {
      for (const std::string& name : files_in(directories_[i], ".json")) {
        std::string path = std::string(directories_[i]) + "/" + name;
        TRY_ASSIGN(CdiSpec spec, read_spec(path));
        specs_.push_back({std::move(spec), i, std::move(path)});
      }
    }
    return {};
  }

  Result<Found> find(const std::string& name) const {
    std::string_view device_name = name;
    const std::string_view kind = next_field(device_name, '=');
    Found found;
    for (const Entry& entry : specs_) {
      if (entry.spec.kind != kind) continue;
      for (const CdiDevice& device : entry.spec.devices) {
        if (device.name != device_name) continue;
        if (found.device != nullptr && found.directory == entry.directory)
          return fail(ErrorKind::kInvalid,
                      "the CDI device " + quoted(name) + " is in " + quoted(found.path) +
                          " and in " + quoted(entry.path),
                      "take it out of one of them");
        found = {&entry.spec, &device, entry.directory, entry.path};
      }
    }
    if (found.device == nullptr) return not_found(name, kind);
    return found;
  }

 private:
  struct Entry {
    CdiSpec spec;
    std::size_t directory;
    std::string path;
  };

  std::unexpected<Error> not_found(const std::string& name, std::string_view kind) const {
    std::string hint;
    for (const Entry& entry : specs_) {
      if (entry.spec.kind != kind) continue;
      for (const CdiDevice& device : entry.spec.devices)
        hint.append(hint.empty() ? "of this kind there are: " : " ").append(device.name);
    }
    for (const char* directory : directories_)
      for (const char* ending : {".yaml", ".yml"})
        for (const std::string& file : files_in(directory, ending))
          if (hint.empty())
            hint =
                std::string(directory) + "/" + file +
                " is YAML, which Bulkhead does not read: have it written as JSON (nvidia-ctk cdi "
                "generate --format json)";
    if (hint.empty())
      hint =
          "no JSON file in /etc/cdi or /var/run/cdi describes it; for NVIDIA's: nvidia-ctk cdi "
          "generate --format json --output /etc/cdi/nvidia.json";
    return fail(ErrorKind::kNotFound, "there is no CDI device " + quoted(name), std::move(hint));
  }

  std::span<const char* const> directories_;
  std::vector<Entry> specs_;
};

}  // namespace

void CdiEdits::add(const CdiEdits& other) {
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(env, other.env);
  append(device_nodes, other.device_nodes);
  append(mounts, other.mounts);
  append(hooks, other.hooks);
  append(additional_gids, other.additional_gids);
}

bool is_cdi_name(std::string_view text) {
  if (text.starts_with('/')) return false;
  std::string_view device = text;
  const std::string_view kind = next_field(device, '=');
  return is_kind(kind) && is_part(device, "_-.:", true);
}

Result<CdiSpec> parse_cdi_spec(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text, {.bytes = kMostBytes}));
  oci::Decoding decoding;
  FileEntry entry;
  oci::read_object(decoding, document.root(), json::Place(), entry);
  if (decoding.failed()) return std::unexpected(std::move(*decoding.error));
  if (!decoding.unknown_fields.empty())
    return fail(ErrorKind::kInvalid,
                decoding.unknown_fields.front() + ": a field that Bulkhead does not know",
                "nothing is left out of a device without a word");
  if (!entry.version.starts_with("0.") && !entry.version.starts_with("1."))
    return fail(ErrorKind::kUnsupported, "cdiVersion " + quoted(entry.version) + " is not known");
  if (!is_kind(entry.kind))
    return fail(ErrorKind::kInvalid, "the kind " + quoted(entry.kind) + " is not VENDOR/CLASS");
  TRY(check_edits(entry.edits));
  CdiSpec spec{std::move(entry.version), std::move(entry.kind), {}, std::move(entry.edits)};
  for (DeviceEntry& device : entry.devices) {
    if (!is_part(device.name, "_-.:", true))
      return fail(ErrorKind::kInvalid, quoted(device.name) + " is not a device's name");
    TRY(check_edits(device.edits));
    spec.devices.push_back({std::move(device.name), std::move(device.edits)});
  }
  return spec;
}

Result<CdiEdits> find_cdi_devices(std::span<const std::string> names,
                                  std::span<const char* const> directories) {
  CdiEdits edits;
  if (names.empty()) return edits;
  Registry registry(directories);
  TRY(registry.read());
  std::vector<const CdiSpec*> used;
  std::vector<const CdiDevice*> taken;
  for (const std::string& name : names) {
    TRY_ASSIGN(const Found found, registry.find(name));
    if (std::ranges::find(taken, found.device) != taken.end()) continue;
    taken.push_back(found.device);
    if (std::ranges::find(used, found.spec) == used.end()) {
      used.push_back(found.spec);
      edits.add(found.spec->edits);
    }
    edits.add(found.device->edits);
  }
  return edits;
}

}  // namespace bulkhead::engine
