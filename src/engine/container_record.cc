#include "engine/container_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "engine/registry.h"
#include "json/parse.h"
#include "json/writer.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kLargest = 1 << 20;
// The state is written into a file of this size that is there already, as the spare of the one that
// counts, and the two change places.
constexpr std::size_t kLifeSize = 2048;
constexpr const char* kSpareLifeFile = ".life.json";

void list(json::Writer& writer, std::string_view name, const std::vector<std::string>& texts) {
  writer.key(name);
  writer.begin_array();
  for (const std::string& text : texts) writer.string(text);
  writer.end_array();
}

void write_mounts(json::Writer& writer, const std::vector<MountRecord>& mounts) {
  writer.key("mounts");
  writer.begin_array();
  for (const MountRecord& mount : mounts) {
    writer.begin_object();
    writer.member("volume", mount.is_volume);
    writer.member("name", mount.name);
    writer.member("source", mount.source);
    writer.member("destination", mount.destination);
    writer.member("subpath", mount.subpath);
    writer.member("keptHere", mount.kept_here);
    writer.member("anonymous", mount.anonymous);
    writer.member("noCopy", mount.no_copy);
    writer.member("readOnly", mount.read_only);
    writer.member("recursive", mount.recursive);
    writer.member("idMapped", mount.id_mapped);
    list(writer, "options", mount.options);
    writer.end_object();
  }
  writer.end_array();
}

// Members of a document that encode() has written. A member that an older program did not know yet has
// its default.
class Members {
 public:
  explicit Members(const json::Value& object) : object_(object) {}

  void read(std::string_view key, std::string& out) const {
    if (const json::Value* const value = object_.find(key)) out = value->as_string();
  }
  void read(std::string_view key, bool& out) const {
    if (const json::Value* const value = object_.find(key)) out = value->as_boolean();
  }
  template <std::integral Number>
  void read(std::string_view key, Number& out) const {
    const json::Value* const value = object_.find(key);
    if (value == nullptr) return;
    if (const auto number = value->as_int64()) out = static_cast<Number>(*number);
  }
  void read(std::string_view key, std::optional<std::uint64_t>& out) const {
    if (const json::Value* const value = object_.find(key)) out = value->as_uint64();
  }
  void read(std::string_view key, std::vector<std::string>& out) const {
    const json::Value* const value = object_.find(key);
    if (value == nullptr) return;
    for (const json::Value& item : value->items()) out.emplace_back(item.as_string());
  }
  const json::Value* find(std::string_view key) const { return object_.find(key); }

 private:
  const json::Value& object_;
};

void read_mounts(const json::Value* mounts, std::vector<MountRecord>& out) {
  if (mounts == nullptr) return;
  for (const json::Value& item : mounts->items()) {
    const Members members(item);
    MountRecord mount;
    members.read("volume", mount.is_volume);
    members.read("name", mount.name);
    members.read("source", mount.source);
    members.read("destination", mount.destination);
    members.read("subpath", mount.subpath);
    members.read("keptHere", mount.kept_here);
    members.read("anonymous", mount.anonymous);
    members.read("noCopy", mount.no_copy);
    members.read("readOnly", mount.read_only);
    members.read("recursive", mount.recursive);
    members.read("idMapped", mount.id_mapped);
    members.read("options", mount.options);
    out.push_back(std::move(mount));
  }
}

void encode(const GivenWords& given, json::Writer& writer) {
  writer.begin_object();
  writer.member("attached", given.attached);
  writer.member("privileged", given.privileged);
  writer.member("init", given.init);
  list(writer, "groupAdd", given.group_add);
  list(writer, "devices", given.devices);
  list(writer, "deviceRules", given.device_rules);
  writer.member("ipc", given.ipc);
  writer.member("pid", given.pid);
  writer.member("uts", given.uts);
  writer.member("userns", given.userns);
  writer.member("cgroupns", given.cgroupns);
  writer.member("cgroupParent", given.cgroup_parent);
  writer.end_object();
}

GivenWords decode_given(const json::Value& value) {
  const Members members(value);
  GivenWords given;
  members.read("attached", given.attached);
  members.read("privileged", given.privileged);
  members.read("init", given.init);
  members.read("groupAdd", given.group_add);
  members.read("devices", given.devices);
  members.read("deviceRules", given.device_rules);
  members.read("ipc", given.ipc);
  members.read("pid", given.pid);
  members.read("uts", given.uts);
  members.read("userns", given.userns);
  members.read("cgroupns", given.cgroupns);
  members.read("cgroupParent", given.cgroup_parent);
  return given;
}

std::string_view name_of(LifeStatus status) {
  switch (status) {
    case LifeStatus::kCreated: return "created";
    case LifeStatus::kRunning: return "running";
    case LifeStatus::kRestarting: return "restarting";
    case LifeStatus::kExited: break;
  }
  return "exited";
}

template <class Record>
Result<std::optional<Record>> read(int directory, const char* name,
                                   Result<Record> (*decode)(std::string_view)) {
  const auto text = read_file_at(directory, name, kLargest);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  auto record = decode(*text);
  if (!record) return std::unexpected(std::move(record).error().within(name));
  return *std::move(record);
}

}  // namespace

std::string encode(const ContainerRecord& record) {
  std::string text;
  json::Writer writer(text, json::Style::kCompact);
  writer.begin_object();
  writer.member("id", record.id);
  writer.member("name", record.name);
  writer.member("image", record.image);
  writer.member("imageId", record.image_id);
  writer.member("created", record.created);
  list(writer, "layers", record.layers);
  list(writer, "idPlaces", record.id_places);
  list(writer, "arguments", record.arguments);
  list(writer, "runWords", record.run_words);
  list(writer, "entrypoint", record.entrypoint);
  list(writer, "command", record.command);
  writer.member("user", record.user);
  writer.member("stopSignal", record.stop_signal);
  writer.member("stopTimeout", record.stop_timeout);
  writer.member("timeoutMilliseconds", record.timeout_milliseconds);
  writer.member("restart", supervise::text_of(record.restart));
  writer.member("logDriver", name_of(record.log.driver));
  writer.member("logMostBytes", record.log.most_bytes);
  writer.member("logMostFiles", record.log.most_files);
  writer.member("logCompress", record.log.compress);
  writer.member("logAttributes", record.log.attributes_text());
  list(writer, "logOptions", record.log_options);
  writer.member("outputBytes", record.output_bytes);
  if (record.health.enabled()) {
    writer.key("health");
    write_health_check(writer, record.health);
  }
  writer.member("runtime", record.runtime);
  writer.member("unrepeatable", record.unrepeatable);
  writer.member("remove", record.remove);
  writer.member("terminal", record.terminal);
  writer.member("openStdin", record.open_stdin);
  writer.member("stdinOnce", record.stdin_once);
  writer.member("defaultLimits", record.defaults.cgroup_limits);
  writer.member("defaultLsm", record.defaults.lsm_profile);
  writer.member("defaultLandlock", record.defaults.landlock);
  writer.key("labels");
  writer.begin_object();
  for (const auto& [key, value] : record.labels) writer.member(key, value);
  writer.end_object();
  writer.member("network", record.network);
  list(writer, "opened", record.opened);
  list(writer, "binds", record.binds);
  write_mounts(writer, record.mounts);
  list(writer, "tmpfs", record.tmpfs);
  list(writer, "capAdd", record.capabilities_added);
  list(writer, "capDrop", record.capabilities_dropped);
  list(writer, "securityOpt", record.security_options);
  writer.key("given");
  encode(record.given, writer);
  writer.end_object();
  text += '\n';
  return text;
}

Result<ContainerRecord> decode_container_record(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const Members members(document.root());
  ContainerRecord record;
  members.read("id", record.id);
  members.read("name", record.name);
  members.read("image", record.image);
  members.read("imageId", record.image_id);
  members.read("created", record.created);
  members.read("layers", record.layers);
  members.read("idPlaces", record.id_places);
  members.read("arguments", record.arguments);
  members.read("runWords", record.run_words);
  members.read("entrypoint", record.entrypoint);
  members.read("command", record.command);
  members.read("user", record.user);
  members.read("stopSignal", record.stop_signal);
  members.read("stopTimeout", record.stop_timeout);
  members.read("timeoutMilliseconds", record.timeout_milliseconds);
  std::string word = "no";
  members.read("restart", word);
  TRY_ASSIGN(record.restart, supervise::parse_restart_policy(word));
  word = "json-file";
  members.read("logDriver", word);
  record.log.driver = word == "none"       ? supervise::LogDriver::kNone
                      : word == "journald" ? supervise::LogDriver::kJournald
                                           : supervise::LogDriver::kJsonFile;
  members.read("logMostBytes", record.log.most_bytes);
  members.read("logMostFiles", record.log.most_files);
  members.read("logCompress", record.log.compress);
  word.clear();
  members.read("logAttributes", word);
  record.log.attributes_size =
      static_cast<std::uint16_t>(std::min(word.size(), record.log.attributes.size()));
  word.copy(record.log.attributes.data(), record.log.attributes_size);
  members.read("logOptions", record.log_options);
  members.read("outputBytes", record.output_bytes);
  if (const json::Value* const health = members.find("health"))
    record.health = read_health_check(*health);
  members.read("runtime", record.runtime);
  members.read("unrepeatable", record.unrepeatable);
  members.read("remove", record.remove);
  members.read("terminal", record.terminal);
  members.read("openStdin", record.open_stdin);
  members.read("stdinOnce", record.stdin_once);
  members.read("defaultLimits", record.defaults.cgroup_limits);
  members.read("defaultLsm", record.defaults.lsm_profile);
  members.read("defaultLandlock", record.defaults.landlock);
  if (const json::Value* const labels = members.find("labels"))
    for (const json::Member& label : labels->members())
      record.labels.emplace(label.key, label.value.as_string());
  members.read("network", record.network);
  members.read("opened", record.opened);
  members.read("binds", record.binds);
  read_mounts(members.find("mounts"), record.mounts);
  members.read("tmpfs", record.tmpfs);
  members.read("capAdd", record.capabilities_added);
  members.read("capDrop", record.capabilities_dropped);
  members.read("securityOpt", record.security_options);
  if (const json::Value* const given = members.find("given")) record.given = decode_given(*given);
  if (record.id.empty() || record.arguments.empty())
    return fail(ErrorKind::kInvalid, "not the record of a container");
  return record;
}

std::string encode(const LifeRecord& life) {
  std::string text;
  json::Writer writer(text, json::Style::kCompact);
  const auto optional = [&](std::string_view key, const std::optional<std::uint64_t>& value) {
    if (value) writer.member(key, *value);
  };
  writer.begin_object();
  writer.member("status", name_of(life.status));
  writer.member("started", life.started);
  writer.member("finished", life.finished);
  writer.member("exitCode", life.exit_code);
  writer.member("signal", life.signal);
  writer.member("oomKilled", life.oom_killed);
  if (life.oom_kills > 0) writer.member("oomKills", life.oom_kills);
  if (!life.oom_victim.empty()) writer.member("oomVictim", life.oom_victim);
  writer.member("timedOut", life.timed_out);
  writer.member("outputLimited", life.output_limited);
  writer.member("stoppedByUser", life.stopped_by_user);
  writer.member("error", life.error);
  writer.member("restarts", life.restarts);
  optional("peakMemoryBytes", life.peak_memory_bytes);
  optional("cpuNanoseconds", life.cpu_nanoseconds);
  optional("outputPipe", life.output_pipe);
  optional("errorPipe", life.error_pipe);
  writer.end_object();
  text += '\n';
  return text;
}

Result<LifeRecord> decode_life_record(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const Members members(document.root());
  LifeRecord life;
  std::string status;
  members.read("status", status);
  for (const LifeStatus each :
       {LifeStatus::kCreated, LifeStatus::kRunning, LifeStatus::kRestarting, LifeStatus::kExited})
    if (status == name_of(each)) life.status = each;
  members.read("started", life.started);
  members.read("finished", life.finished);
  members.read("exitCode", life.exit_code);
  members.read("signal", life.signal);
  members.read("oomKilled", life.oom_killed);
  members.read("oomKills", life.oom_kills);
  members.read("oomVictim", life.oom_victim);
  members.read("timedOut", life.timed_out);
  members.read("outputLimited", life.output_limited);
  members.read("stoppedByUser", life.stopped_by_user);
  members.read("error", life.error);
  members.read("restarts", life.restarts);
  members.read("peakMemoryBytes", life.peak_memory_bytes);
  members.read("cpuNanoseconds", life.cpu_nanoseconds);
  members.read("outputPipe", life.output_pipe);
  members.read("errorPipe", life.error_pipe);
  return life;
}

Result<void> write_container_file(int directory, const char* name, std::string_view content) {
  const std::string unfinished = "." + std::string(name);
  {
    TRY_ASSIGN(const Fd file, open_at(directory, unfinished.c_str(),
                                      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    if (auto written = write_all(file.get(), content.data(), content.size()); !written)
      return std::unexpected(
          Error(written.error()).within("writing the container's " + std::string(name)));
  }
  if (::renameat(directory, unfinished.c_str(), directory, name) != 0)
    return std::unexpected(Error(SysError{"rename", errno, name}));
  return {};
}

Result<std::optional<ContainerRecord>> read_container_record(int directory) {
  return read(directory, kRecordFile, decode_container_record);
}

Result<LifeRecord> read_life_record(int directory) {
  TRY_ASSIGN(auto life, read(directory, kLifeFile, decode_life_record));
  return life.value_or(LifeRecord{});
}

Result<void> write_life_record(int directory, const LifeRecord& life) {
  std::string text = encode(life);
  if (text.size() < kLifeSize) text.insert(text.size() - 1, kLifeSize - text.size(), ' ');
  {
    TRY_ASSIGN(const Fd file,
               open_at(directory, kSpareLifeFile, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
    if (auto written = write_all(file.get(), text.data(), text.size()); !written)
      return std::unexpected(Error(written.error()).within("writing the container's state"));
    if (::ftruncate(file.get(), static_cast<off_t>(text.size())) != 0)
      return std::unexpected(Error(SysError{"ftruncate", errno, kSpareLifeFile}));
  }
  if (::renameat2(directory, kSpareLifeFile, directory, kLifeFile, RENAME_EXCHANGE) == 0) return {};
  // The first time there is nothing to exchange it with; some file systems cannot.
  if (::renameat(directory, kSpareLifeFile, directory, kLifeFile) != 0)
    return std::unexpected(Error(SysError{"rename", errno, kLifeFile}));
  return {};
}

Result<void> change_record(int store, std::string_view id,
                           const std::function<void(ContainerRecord&)>& change) {
  // The lock on the container itself is held for as long as it runs.
  TRY_ASSIGN(const Fd names, open_at(store, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(lock_exclusive(names.get()));
  TRY_ASSIGN(const Fd directory, open_container(store, id));
  TRY_ASSIGN(auto record, read_container_record(directory.get()));
  if (!record)
    return fail(ErrorKind::kState, "container " + quoted(id.substr(0, 12)) + " has no record");
  change(*record);
  return write_container_file(directory.get(), kRecordFile, encode(*record));
}

}  // namespace bulkhead::engine
