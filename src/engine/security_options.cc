#include "engine/security_options.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::engine {
namespace {

std::unexpected<Error> refuse(std::string_view option, std::string_view why,
                              std::string hint = {}) {
  return fail(ErrorKind::kUsage, "--security-opt " + quoted(option) + ": " + std::string(why),
              std::move(hint));
}

struct SelinuxParts {
  std::string user = "system_u";
  std::string role = "system_r";
  std::string type = "container_t";
  std::string level = "s0";
  bool given = false;
};

Result<void> read_label(std::string_view option, std::string_view value, SecurityChoices& choices,
                        SelinuxParts& parts) {
  if (value == "disable") {
    choices.selinux_disabled = true;
    return {};
  }
  const std::string_view name = next_field(value, ':');
  std::string* const part = name == "user"    ? &parts.user
                            : name == "role"  ? &parts.role
                            : name == "type"  ? &parts.type
                            : name == "level" ? &parts.level
                                              : nullptr;
  if (part == nullptr || value.empty())
    return refuse(option, "disable, user:U, role:R, type:T or level:L is expected after label=");
  *part = value;
  parts.given = true;
  return {};
}

Result<void> read_no_new_privileges(std::string_view option, std::string_view value, bool has_value,
                                    SecurityChoices& choices) {
  if (!has_value || value == "true") {
    choices.no_new_privileges = true;
  } else if (value == "false") {
    choices.no_new_privileges = false;
  } else {
    return refuse(option, "true or false is expected");
  }
  return {};
}

Result<void> read_option(std::string_view option, SecurityChoices& choices, SelinuxParts& parts) {
  const std::size_t separator = option.find_first_of("=:");
  const bool has_value = separator != std::string_view::npos;
  const std::string_view name = option.substr(0, separator);
  const std::string_view value = has_value ? option.substr(separator + 1) : std::string_view();
  if (name == "no-new-privileges") return read_no_new_privileges(option, value, has_value, choices);
  if (value.empty()) return refuse(option, "NAME=VALUE is expected");
  if (name == "seccomp") {
    choices.seccomp_unconfined = value == "unconfined";
    choices.seccomp_profile = value == "unconfined" || value == "builtin" ? "" : value;
  } else if (name == "apparmor") {
    choices.apparmor = value;
  } else if (name == "label") {
    return read_label(option, value, choices, parts);
  } else if (name == "systempaths") {
    if (value != "unconfined") return refuse(option, "only unconfined is a value of systempaths");
    choices.system_paths_open = true;
  } else if (name == "landlock") {
    choices.landlock = value;
  } else {
    return refuse(
        option, "there is no such option",
        "there are no-new-privileges, seccomp, apparmor, label, systempaths and landlock");
  }
  return {};
}

}  // namespace

Result<SecurityChoices> read_security_options(const std::vector<std::string>& options) {
  SecurityChoices choices;
  SelinuxParts parts;
  for (const std::string& option : options) TRY(read_option(option, choices, parts));
  if (parts.given) {
    if (choices.selinux_disabled)
      return refuse("label", "label=disable and a label contradict each other");
    choices.selinux_label = parts.user + ":" + parts.role + ":" + parts.type + ":" + parts.level;
  }
  return choices;
}

}  // namespace bulkhead::engine
