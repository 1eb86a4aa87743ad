#include "oci/validate.h"

#include "oci/validation.h"
#include "oci/version.h"

namespace bulkhead::oci {
namespace {

// The specification promises that a document of version 1.x means the same to every runtime of 1.x
// and later, and promises nothing the other way round: a later minor version may hold a field by
// which isolation is asked for that this build does not know. Writers put the version there that
// they were built with, whatever they use of it, so such a document is taken as long as every field
// in it is known here.
Result<void> validate_version(const Spec& spec, const json::Place& root) {
  const json::Place place(root, "ociVersion");
  const auto version = parse_version(spec.oci_version);
  if (!version) {
    return invalid(place, "is " + quoted(spec.oci_version, 64) + ", which is no semantic version",
                   "write the version of the runtime-spec, as in \"1.2.0\"");
  }
  if (version->major != 1) {
    return invalid(
        place,
        "is " + quoted(spec.oci_version, 64) + ", but this runtime reads versions 1.0 to 1.3",
        "write the configuration for version 1.x of the runtime-spec");
  }
  if (version->minor > kNewestMinorVersion && !spec.unknown_fields.empty()) {
    return invalid(place,
                   "is " + quoted(spec.oci_version, 64) +
                       ", which is newer than 1.3, and the field " + spec.unknown_fields.front() +
                       " is not known to this runtime",
                   "remove the field, or use a runtime that knows that version");
  }
  return {};
}

Result<void> validate_root(const Spec& spec, const json::Place& parent) {
  const json::Place place(parent, "root");
  if (!spec.root) return invalid(place, "is required, but absent", "name the root file system");
  if (spec.root->path.empty()) {
    return invalid(json::Place(place, "path"), "is empty",
                   "write the path of the root file system, conventionally \"rootfs\"");
  }
  return {};
}

bool has_option(const Mount& mount, std::string_view option) {
  return std::find(mount.options.begin(), mount.options.end(), option) != mount.options.end();
}

Result<void> validate_mount(const Mount& mount, bool user_namespace, const json::Place& place) {
  if (mount.destination.empty()) {
    return invalid(json::Place(place, "destination"), "is empty",
                   "write an absolute path inside the container");
  }
  if (mount.uid_mappings.has_value() != mount.gid_mappings.has_value()) {
    const bool uid = mount.uid_mappings.has_value();
    return invalid(
        json::Place(place, uid ? "gidMappings" : "uidMappings"),
        uid ? "is absent, but uidMappings is there" : "is absent, but gidMappings is there",
        "give both mappings or neither");
  }
  if (mount.uid_mappings) {
    TRY(validate_id_mappings(*mount.uid_mappings, json::Place(place, "uidMappings")));
    TRY(validate_id_mappings(*mount.gid_mappings, json::Place(place, "gidMappings")));
    if (mount.uid_mappings->empty() != mount.gid_mappings->empty()) {
      return invalid(place, "has one empty and one filled id mapping", "fill both or neither");
    }
  }
  const bool mapped = mount.uid_mappings && !mount.uid_mappings->empty();
  const bool wants_map = has_option(mount, "idmap") || has_option(mount, "ridmap");
  if (wants_map && !mapped && !user_namespace) {
    return invalid(json::Place(place, "options"),
                   "ask for an id mapping, but there is none: neither uidMappings and gidMappings "
                   "nor a user namespace whose map could be taken",
                   "add the mappings to the mount, or a user namespace");
  }
  return {};
}

bool has_namespace(const Spec& spec, NamespaceType type) {
  return std::any_of(spec.linux_.namespaces.begin(), spec.linux_.namespaces.end(),
                     [&](const Namespace& entry) { return entry.type == type; });
}

Result<void> validate_mounts(const Spec& spec, const json::Place& parent) {
  const json::Place place(parent, "mounts");
  const bool user_namespace = has_namespace(spec, NamespaceType::kUser);
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    TRY(validate_mount(spec.mounts[i], user_namespace, json::Place(place, i)));
  }
  return {};
}

Result<void> validate_hook_list(const std::vector<Hook>& hooks, const json::Place& place) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const json::Place here(place, i);
    if (!is_absolute(hooks[i].path)) {
      return invalid(json::Place(here, "path"),
                     "is " + quoted(hooks[i].path) + ", which is not an absolute path",
                     "write the hook's whole path; it is not searched for");
    }
    if (hooks[i].timeout && *hooks[i].timeout <= 0) {
      return invalid(json::Place(here, "timeout"), "must be greater than zero",
                     "write the seconds that the hook may take, or leave the field out");
    }
  }
  return {};
}

Result<void> validate_hooks(const Hooks& hooks, const json::Place& parent) {
  const json::Place place(parent, "hooks");
  TRY(validate_hook_list(hooks.prestart, json::Place(place, "prestart")));
  TRY(validate_hook_list(hooks.create_runtime, json::Place(place, "createRuntime")));
  TRY(validate_hook_list(hooks.create_container, json::Place(place, "createContainer")));
  TRY(validate_hook_list(hooks.start_container, json::Place(place, "startContainer")));
  TRY(validate_hook_list(hooks.poststart, json::Place(place, "poststart")));
  return validate_hook_list(hooks.poststop, json::Place(place, "poststop"));
}

// hostname and domainname: without a UTS namespace of its own the host would be renamed.
Result<void> validate_host_names(const Spec& spec, const json::Place& root) {
  constexpr std::size_t kLongest = 64;  // __NEW_UTS_LEN
  const std::pair<std::string_view, const std::string*> names[] = {
      {"hostname", &spec.hostname}, {"domainname", &spec.domainname}};
  for (const auto& [field, name] : names) {
    if (name->empty()) continue;
    if (name->size() > kLongest) {
      return invalid(json::Place(root, field), "is longer than the 64 bytes that the kernel keeps",
                     "use a shorter name");
    }
    if (!has_namespace(spec, NamespaceType::kUts)) {
      return invalid(json::Place(root, field),
                     "is set, but the container has no uts namespace, so the host would be renamed",
                     "add {\"type\": \"uts\"} to /linux/namespaces, or remove the field");
    }
  }
  return {};
}

}  // namespace

bool is_interface_name(std::string_view name) {
  constexpr std::size_t kLongest = 15;  // IFNAMSIZ - 1
  if (name.empty() || name.size() > kLongest || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == ':' || static_cast<unsigned char>(c) <= 0x20 || c == 0x7F;
  });
}

Result<void> validate(const Spec& spec) {
  const json::Place root;
  TRY(validate_version(spec, root));
  TRY(validate_root(spec, root));
  if (spec.process) TRY(validate_process_at(*spec.process, json::Place(root, "process")));
  TRY(validate_mounts(spec, root));
  if (spec.hooks) TRY(validate_hooks(*spec.hooks, root));
  if (spec.annotations.contains("")) {
    return invalid(json::Place(root, "annotations"), "has an empty key",
                   "give every annotation a name");
  }
  TRY(validate_host_names(spec, root));
  return validate_linux_at(spec, json::Place(root, "linux"));
}

Result<void> validate_process(const Process& process) {
  return validate_process_at(process, json::Place());
}

Result<void> validate_resources(const Resources& resources) {
  return validate_resources_at(resources, json::Place());
}

}  // namespace bulkhead::oci
