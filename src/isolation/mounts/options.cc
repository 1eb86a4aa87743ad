#include "isolation/mounts/options.h"

#include <sys/mount.h>

#include <array>

#include "sys/uapi.h"

namespace bulkhead::isolation {
namespace {

struct AttributeOption {
  std::string_view name;
  std::uint64_t set;
  std::uint64_t clear;
};

// Each of these exists with an "r" before it for the whole tree ("rro"), but for the two that are
// names of other things already ("rrelatime" is one too: read "r" + "relatime").
constexpr std::array kAttributes = {
    AttributeOption{"ro", MOUNT_ATTR_RDONLY, 0},
    AttributeOption{"rw", 0, MOUNT_ATTR_RDONLY},
    AttributeOption{"nosuid", MOUNT_ATTR_NOSUID, 0},
    AttributeOption{"suid", 0, MOUNT_ATTR_NOSUID},
    AttributeOption{"nodev", MOUNT_ATTR_NODEV, 0},
    AttributeOption{"dev", 0, MOUNT_ATTR_NODEV},
    AttributeOption{"noexec", MOUNT_ATTR_NOEXEC, 0},
    AttributeOption{"exec", 0, MOUNT_ATTR_NOEXEC},
    AttributeOption{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    AttributeOption{"atime", 0, MOUNT_ATTR__ATIME},
    AttributeOption{"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    AttributeOption{"norelatime", 0, MOUNT_ATTR__ATIME},
    AttributeOption{"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    AttributeOption{"nostrictatime", 0, MOUNT_ATTR__ATIME},
    AttributeOption{"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    AttributeOption{"diratime", 0, MOUNT_ATTR_NODIRATIME},
    AttributeOption{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    AttributeOption{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

struct SuperOption {
  std::string_view name;
  unsigned long flag;
  bool on;
};

constexpr std::array kSuperOptions = {
    SuperOption{"sync", MS_SYNCHRONOUS, true},      SuperOption{"async", MS_SYNCHRONOUS, false},
    SuperOption{"dirsync", MS_DIRSYNC, true},       SuperOption{"mand", MS_MANDLOCK, true},
    SuperOption{"nomand", MS_MANDLOCK, false},      SuperOption{"lazytime", MS_LAZYTIME, true},
    SuperOption{"nolazytime", MS_LAZYTIME, false},  SuperOption{"silent", MS_SILENT, true},
    SuperOption{"loud", MS_SILENT, false},          SuperOption{"iversion", MS_I_VERSION, true},
    SuperOption{"noiversion", MS_I_VERSION, false},
};

struct PropagationOption {
  std::string_view name;
  Propagation propagation;
};

constexpr std::array kPropagations = {
    PropagationOption{"private", {MS_PRIVATE, false}},
    PropagationOption{"rprivate", {MS_PRIVATE, true}},
    PropagationOption{"slave", {MS_SLAVE, false}},
    PropagationOption{"rslave", {MS_SLAVE, true}},
    PropagationOption{"shared", {MS_SHARED, false}},
    PropagationOption{"rshared", {MS_SHARED, true}},
    PropagationOption{"unbindable", {MS_UNBINDABLE, false}},
    PropagationOption{"runbindable", {MS_UNBINDABLE, true}},
};

const AttributeOption* find_attribute(std::string_view name) {
  for (const auto& option : kAttributes)
    if (option.name == name) return &option;
  return nullptr;
}

// A later option takes back what an earlier one said, as mount(8) reads them.
void put(std::uint64_t& set, std::uint64_t& clear, const AttributeOption& option) {
  set = (set & ~option.clear) | option.set;
  clear = (clear & ~option.set) | option.clear;
}

bool take_attribute(MountOptions& parsed, std::string_view word) {
  if (const auto* option = find_attribute(word)) {
    put(parsed.set, parsed.clear, *option);
    return true;
  }
  if (word.empty() || word.front() != 'r') return false;
  const auto* option = find_attribute(word.substr(1));
  if (option == nullptr) return false;
  put(parsed.recursive_set, parsed.recursive_clear, *option);
  return true;
}

bool take_super_option(MountOptions& parsed, std::string_view word) {
  for (const auto& option : kSuperOptions) {
    if (option.name != word) continue;
    parsed.super_flags =
        option.on ? parsed.super_flags | option.flag : parsed.super_flags & ~option.flag;
    return true;
  }
  return false;
}

bool take_word(MountOptions& parsed, std::string_view word) {
  if (word == "defaults") return true;
  if (word == "bind") return parsed.bind = true;
  if (word == "rbind") return parsed.bind = parsed.recursive_bind = true;
  if (word == "remount") return parsed.remount = true;
  if (word == "tmpcopyup") return parsed.copy_up = true;
  if (word == "idmap" || word == "ridmap") {
    parsed.idmap = word == "idmap" ? IdMapScope::kThisMount : IdMapScope::kWholeTree;
    return true;
  }
  if (const auto propagation = parse_propagation(word)) {
    parsed.propagation = propagation->mode;
    parsed.propagation_recursive = propagation->recursive;
    return true;
  }
  return take_attribute(parsed, word) || take_super_option(parsed, word);
}

}  // namespace

std::string MountOptions::joined_data() const {
  std::string text;
  for (const auto& [key, value] : data) {
    if (!text.empty()) text += ',';
    text += key;
    if (value) text.append("=").append(*value);
  }
  return text;
}

MountOptions parse_mount_options(const std::vector<std::string>& options) {
  MountOptions parsed;
  for (const std::string& word : options) {
    if (word.empty() || take_word(parsed, word)) continue;
    const auto equals = word.find('=');
    if (equals == std::string::npos)
      parsed.data.emplace_back(word, std::nullopt);
    else
      parsed.data.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return parsed;
}

unsigned long classic_flags(const MountOptions& options) {
  struct Pair {
    std::uint64_t attribute;
    unsigned long flag;
  };
  constexpr std::array kPairs = {
      Pair{MOUNT_ATTR_RDONLY, MS_RDONLY},         Pair{MOUNT_ATTR_NOSUID, MS_NOSUID},
      Pair{MOUNT_ATTR_NODEV, MS_NODEV},           Pair{MOUNT_ATTR_NOEXEC, MS_NOEXEC},
      Pair{MOUNT_ATTR_NOATIME, MS_NOATIME},       Pair{MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
      Pair{MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, Pair{MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW},
  };
  unsigned long flags = options.super_flags;
  for (const auto& pair : kPairs)
    if ((options.set & pair.attribute) != 0) flags |= pair.flag;
  return flags;
}

std::string attribute_names(std::uint64_t set) {
  std::string text;
  for (const auto& option : kAttributes) {
    if (option.set == 0 || (set & option.set) != option.set) continue;
    if (!text.empty()) text += ',';
    text += option.name;
  }
  return text;
}

std::string propagation_name(std::uint64_t propagation, bool recursive) {
  for (const auto& option : kPropagations)
    if (option.propagation.mode == propagation && option.propagation.recursive == recursive)
      return std::string(option.name);
  return {};
}

std::optional<Propagation> parse_propagation(std::string_view word) {
  for (const auto& option : kPropagations)
    if (option.name == word) return option.propagation;
  return std::nullopt;
}

}  // namespace bulkhead::isolation
