#include "engine/information.h"

#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "engine/containers.h"
#include "engine/integrate.h"
#include "engine/prepare.h"
#include "isolation/host_facts.h"
#include "json/writer.h"
#include "oci/image.h"
#include "oci/version.h"
#include "storage/image_name.h"
#include "storage/images.h"
#include "supervise/journal_log.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

// NAME=VALUE of /etc/os-release, without its quotation marks.
std::string os_release(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    if (next_field(line, '=') != name) continue;
    if (line.size() >= 2 && line.front() == '"' && line.back() == '"')
      line = line.substr(1, line.size() - 2);
    return std::string(line);
  }
  return {};
}

bool exists(const char* path) { return ::access(path, F_OK) == 0; }

void texts(json::Writer& writer, std::string_view name, const std::vector<std::string>& values) {
  writer.key(name);
  writer.begin_array();
  for (const std::string& value : values) writer.string(value);
  writer.end_array();
}

std::vector<std::string> security_options() {
  std::vector<std::string> options{"name=seccomp,profile=builtin", "name=userns", "name=cgroupns"};
  char answer[4];
  const auto apparmor =
      read_small_file_at(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", answer);
  if (apparmor && apparmor->starts_with('Y')) options.emplace_back("name=apparmor");
  if (exists("/sys/fs/selinux/enforce")) options.emplace_back("name=selinux");
  if (exists("/sys/kernel/security/landlock")) options.emplace_back("name=landlock");
  return options;
}

void write_counts(json::Writer& writer, const std::vector<ListedContainer>& containers) {
  const auto count = [&](auto matches) {
    return std::ranges::count_if(containers,
                                 [&](const ListedContainer& c) { return matches(c.status); });
  };
  const auto running =
      count([](ContainerStatus status) { return status == ContainerStatus::kRunning; });
  const auto paused =
      count([](ContainerStatus status) { return status == ContainerStatus::kPaused; });
  writer.member("Containers", containers.size());
  writer.member("ContainersRunning", running);
  writer.member("ContainersPaused", paused);
  writer.member("ContainersStopped",
                static_cast<std::int64_t>(containers.size()) - running - paused);
}

void write_host(json::Writer& writer) {
  struct utsname names{};
  (void)::uname(&names);
  struct sysinfo memory{};
  (void)::sysinfo(&memory);
  const std::string release = read_file_at(AT_FDCWD, "/etc/os-release").value_or("");
  writer.member("KernelVersion", names.release);
  writer.member("OperatingSystem", os_release(release, "PRETTY_NAME"));
  writer.member("OSVersion", os_release(release, "VERSION_ID"));
  writer.member("OSType", "linux");
  writer.member("Architecture", names.machine);
  writer.member("NCPU", ::sysconf(_SC_NPROCESSORS_ONLN));
  writer.member("MemTotal", std::uint64_t{memory.totalram} * memory.mem_unit);
  writer.member("SwapTotal", std::uint64_t{memory.totalswap} * memory.mem_unit);
  writer.member("Name", names.nodename);
}

}  // namespace

Result<std::string> information(const StoreOptions& options) {
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  TRY_ASSIGN(const auto containers, list(options));
  TRY_ASSIGN(const auto images, storage::list_images(store));
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  write_counts(writer, containers);
  writer.member("Images", images.size());
  writer.member("Driver", "overlay");
  texts(writer, "StorageDrivers", {"overlay", "erofs"});
  writer.member("LoggingDriver", "json-file");
  std::vector<std::string> logs{"json-file", "none"};
  if (supervise::check_journal()) logs.insert(logs.begin(), "journald");
  writer.key("Plugins");
  writer.begin_object();
  texts(writer, "Volume", {"local"});
  texts(writer, "Network", {"host", "none"});
  texts(writer, "Log", logs);
  writer.end_object();
  writer.member("CgroupDriver", "cgroupfs");
  // Pure v2 has its files at the root.
  writer.member("CgroupVersion", exists("/sys/fs/cgroup/cgroup.controllers") ? "2" : "1");
  write_host(writer);
  texts(writer, "SecurityOptions", security_options());
  writer.member("DefaultRuntime", "bulkhead");
  writer.member("LiveRestoreEnabled", true);
  writer.member("InitBinary", "bulkhead-init");
  writer.member("DockerRootDir", options.root);
  writer.member("RunRoot", options.runroot);
  writer.member("ServerVersion", BULKHEAD_VERSION);
  writer.member("OCIVersion", oci::kSpecVersion);
  writer.end_object();
  return text;
}

std::string version_information() {
  struct utsname names{};
  (void)::uname(&names);
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  for (const char* const side : {"Client", "Server"}) {
    writer.key(side);
    writer.begin_object();
    writer.member("Version", BULKHEAD_VERSION);
    writer.member("Os", "linux");
    writer.member("Arch", oci::own_architecture());
    writer.member("KernelVersion", names.release);
    writer.member("OCIVersion", oci::kSpecVersion);
    writer.end_object();
  }
  writer.end_object();
  return text;
}

}  // namespace bulkhead::engine
