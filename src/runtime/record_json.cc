#include "runtime/record_json.h"

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

std::string text_of(const json::Value& object, std::string_view key) {
  const json::Value* value = object.find(key);
  return value == nullptr ? std::string() : std::string(value->as_string());
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
  const json::Value& object = document.root();
  Record record;
  record.id = text_of(object, "id");
  record.oci_version = text_of(object, "ociVersion");
  record.bundle = text_of(object, "bundle");
  record.rootfs = text_of(object, "rootfs");
  record.created = text_of(object, "created");
  if (record.id.empty()) return fail(ErrorKind::kInvalid, "not a container's record");
  if (const json::Value* annotations = object.find("annotations"))
    for (const auto& [key, value] : annotations->members())
      record.annotations.emplace(key, value.as_string());
  if (const json::Value* groups = object.find("cgroups"))
    for (const json::Value& group : groups->items())
      record.cgroup_directories.emplace_back(group.as_string());
  if (const json::Value* groups = object.find("foundCgroups"))
    for (const json::Value& group : groups->items())
      record.found_cgroups.emplace_back(group.as_string());
  if (const json::Value* directories = object.find("resctrl"))
    for (const json::Value& directory : directories->items())
      record.resctrl_directories.emplace_back(directory.as_string());
  const std::string driver = text_of(object, "cgroupDriver");
  if (driver == "systemd") record.cgroup_driver = CgroupDriver::kSystemd;
  if (driver == "disabled") record.cgroup_driver = CgroupDriver::kDisabled;
  if (const json::Value* own = object.find("ownPidNamespace"))
    record.own_pid_namespace = own->as_boolean();
  if (const json::Value* hooks = object.find("poststopHooks"))
    record.has_poststop_hooks = hooks->as_boolean();
  return record;
}

}  // namespace bulkhead::runtime
