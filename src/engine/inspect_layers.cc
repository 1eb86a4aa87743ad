#include "engine/inspect_layers.h"

#include <sys/stat.h>

#include <array>
#include <optional>
#include <string>

#include "base/text.h"
#include "isolation/namespace.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

// The inode of a namespace; nothing when it cannot be seen.
std::optional<std::uint64_t> namespace_of(const std::string& process, std::string_view file) {
  struct stat status{};
  const std::string path = process + "/ns/" + std::string(file);
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_ino;
}

std::string field_of(std::string_view status, std::string_view name) {
  for (const std::string_view line : split(status, '\n'))
    if (line.starts_with(name) && line.substr(name.size()).starts_with(':'))
      return std::string(trim(line.substr(name.size() + 1)));
  return {};
}

void write_namespaces(json::Writer& writer, const std::string& process) {
  constexpr std::array<std::string_view, 8> kFiles{"user", "pid", "mnt",    "net",
                                                   "ipc",  "uts", "cgroup", "time"};
  writer.key("Namespaces");
  writer.begin_object();
  for (const std::string_view file : kFiles) {
    const auto own = namespace_of(process, file);
    const auto host = namespace_of("/proc/self", file);
    writer.member(file, !own ? "unknown" : own == host ? "the host's" : "its own");
  }
  writer.end_object();
}

}  // namespace

void write_layers(json::Writer& writer, const oci::Spec& spec, int pid) {
  writer.key("Bulkhead");
  writer.begin_object();
  writer.key("Wanted");
  writer.begin_object();
  writer.member("NoNewPrivileges", spec.process->no_new_privileges);
  writer.member("Seccomp", spec.linux_.seccomp.has_value());
  writer.key("Capabilities");
  writer.begin_array();
  if (spec.process->capabilities)
    for (const std::string& name : spec.process->capabilities->bounding) writer.string(name);
  writer.end_array();
  writer.key("Namespaces");
  writer.begin_array();
  for (const oci::Namespace& entry : spec.linux_.namespaces)
    writer.string(isolation::namespace_name(entry.type));
  writer.end_array();
  writer.end_object();
  writer.key("Observed");
  if (pid == 0) {
    writer.null();
    return writer.end_object();
  }
  const std::string process = "/proc/" + std::to_string(pid);
  const auto status = read_file_at(AT_FDCWD, (process + "/status").c_str());
  writer.begin_object();
  write_namespaces(writer, process);
  if (status) {
    const std::string mode = field_of(*status, "Seccomp");
    writer.member("Seccomp", mode == "2" ? "filter" : mode == "1" ? "strict" : "none");
    writer.member("NoNewPrivileges", field_of(*status, "NoNewPrivs") == "1");
    for (const std::string_view set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
      writer.member(set, field_of(*status, set));
  }
  const auto map = read_file_at(AT_FDCWD, (process + "/uid_map").c_str());
  if (map) writer.member("UidMap", trim(*map));
  const auto label = read_file_at(AT_FDCWD, (process + "/attr/current").c_str());
  writer.member("LsmLabel", label ? std::string(label->c_str()) : std::string());
  writer.end_object();
  writer.end_object();
}

}  // namespace bulkhead::engine
