#include "runtime/record_json.h"

#include "base/text.h"
#include "json/parse.h"
#include "json/writer.h"

namespace bulkhead::runtime {
namespace {

using isolation::CgroupDriver;

std::string_view name_of(CgroupDriver driver) {
  switch (driver) {
    case CgroupDriver::kSystemd: return "systemd";
    case CgroupDriver::kDisabled: return "disabled";
    case CgroupDriver::kCgroupfs: break;
  }
  return "cgroupfs";
}

// Reads what is there and refuses what is of another kind: a record that another version or somebody
// else has written decides what is killed and removed. What is absent keeps its default, as older
// versions had fewer fields.
class Fields {
 public:
  explicit Fields(const json::Value& object) : object_(object) {}

  void text(std::string_view key, std::string& into) {
    if (const json::Value* value = find(key, json::Type::kString)) into = value->as_string();
  }
  void flag(std::string_view key, bool& into) {
    if (const json::Value* value = find(key, json::Type::kBoolean)) into = value->as_boolean();
  }
  // Each of the texts has to be `accepted`.
  template <class Accepted>
  void texts(std::string_view key, std::vector<std::string>& into, Accepted accepted) {
    const json::Value* list = find(key, json::Type::kArray);
    if (list == nullptr) return;
    for (const json::Value& item : list->items()) {
      if (item.type() != json::Type::kString || !accepted(item.as_string()))
        return refuse(key, "holds what is no path of a group");
      into.emplace_back(item.as_string());
    }
  }
  void annotations(std::string_view key, oci::Annotations& into) {
    const json::Value* object = find(key, json::Type::kObject);
    if (object == nullptr) return;
    for (const auto& [name, value] : object->members()) {
      if (value.type() != json::Type::kString) return refuse(key, "holds what is no text");
      into.emplace(name, value.as_string());
    }
  }
  void refuse(std::string_view key, std::string_view why) {
    if (problem_.empty()) problem_ = quoted(key) + " " + std::string(why);
  }
  const std::string& problem() const { return problem_; }

 private:
  const json::Value* find(std::string_view key, json::Type type) {
    const json::Value* value = object_.find(key);
    if (value == nullptr || value->type() == type) return value;
    refuse(key, std::string("is not ").append(json::type_name(type)));
    return nullptr;
  }

  const json::Value& object_;
  std::string problem_;
};

// Absolute, and nothing in it that leads elsewhere than it says.
bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/')) return false;
  for (const std::string_view part : split(path.substr(1), '/'))
    if (part == "." || part == ".." || part.find('\0') != std::string_view::npos) return false;
  return true;
}

// "memory:/sys/fs/cgroup/memory/x", ":/sys/fs/cgroup/x".
bool is_group(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && is_plain_path(text.substr(colon + 1));
}

}  // namespace

std::string encode_record(const Record& record) {
  std::string out;
  out.reserve(2048);
  json::Writer writer(out);
  writer.begin_object();
  writer.member("id", record.id);
  writer.member("ociVersion", record.oci_version);
  writer.member("bundle", record.bundle);
  writer.member("rootfs", record.rootfs);
  writer.member("created", record.created);
  writer.key("annotations");
  writer.begin_object();
  for (const auto& [key, value] : record.annotations) writer.member(key, value);
  writer.end_object();
  writer.key("cgroups");
  writer.begin_array();
  for (const auto& group : record.cgroup_directories) writer.string(group);
  writer.end_array();
  if (!record.found_cgroups.empty()) {
    writer.key("foundCgroups");
    writer.begin_array();
    for (const auto& group : record.found_cgroups) writer.string(group);
    writer.end_array();
  }
  writer.key("resctrl");
  writer.begin_array();
  for (const auto& directory : record.resctrl_directories) writer.string(directory);
  writer.end_array();
  writer.member("cgroupDriver", name_of(record.cgroup_driver));
  writer.member("ownPidNamespace", record.own_pid_namespace);
  writer.member("poststopHooks", record.has_poststop_hooks);
  writer.end_object();
  return out;
}

Result<Record> decode_record(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  Fields fields(document.root());
  Record record;
  fields.text("id", record.id);
  fields.text("ociVersion", record.oci_version);
  fields.text("bundle", record.bundle);
  fields.text("rootfs", record.rootfs);
  fields.text("created", record.created);
  fields.annotations("annotations", record.annotations);
  fields.texts("cgroups", record.cgroup_directories, is_group);
  fields.texts("foundCgroups", record.found_cgroups, is_group);
  fields.texts("resctrl", record.resctrl_directories, is_plain_path);
  std::string driver(name_of(record.cgroup_driver));
  fields.text("cgroupDriver", driver);
  for (const auto known :
       {CgroupDriver::kCgroupfs, CgroupDriver::kSystemd, CgroupDriver::kDisabled})
    if (name_of(known) == driver) record.cgroup_driver = known;
  if (name_of(record.cgroup_driver) != driver)
    fields.refuse("cgroupDriver", "is " + quoted(driver) + ", which this version does not know");
  fields.flag("ownPidNamespace", record.own_pid_namespace);
  fields.flag("poststopHooks", record.has_poststop_hooks);
  if (!fields.problem().empty())
    return fail(ErrorKind::kInvalid, "not a container's record: " + fields.problem(),
                "the state directory was changed from outside, or by another version");
  if (record.id.empty()) return fail(ErrorKind::kInvalid, "not a container's record");
  return record;
}

}  // namespace bulkhead::runtime
